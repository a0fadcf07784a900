// Package bmc is one simulated server controller (BMC) that speaks Redfish.
//
// A BMC is an http.Handler in front of a Machine: it answers for the machine's
// power, boot source, virtual media, asset tag and hardware facts, and knows
// nothing of pools, agents or disks. Serve puts it behind TLS on a listener of
// its own, as real controllers are.
//
// What differs between vendors is data: a Manners value says which resources
// exist under which IDs, which values are allowed, and in which way a naive
// request is refused. What goes wrong on purpose is data too: a Fault says which
// request fails, and how; Faults holds those of one BMC.
//
// Virtual media is really fetched. An insert reads the volume descriptor of the
// ISO over HTTP; the rest is read through Media when the machine asks for it.
//
// The machine asks for its boot source (BMC.NextBoot) when its firmware gets
// there, not when power is requested: so a server that restarts by itself uses
// a one-time override as real ones do, and media that came late is missed.
//
// Settings wait for the next start as real ones do: they are applied when the machine
// asks for its boot source. Volumes are known to the BMC alone; the machine's own disks
// stay as they are. Tasks go on when they are looked at, so that tests need no clock.
//
// An idle BMC costs the goroutine of its listener and a few KiB: documents are
// built when they are asked for, and idle connections are closed soon.
package bmc
