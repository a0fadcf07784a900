// Package lab is a virtual rack to rehearse on.
//
// Each node has an address of its own on loopback. There its BMC (package bmc)
// answers Redfish over TLS, and controls the node's power. A node with its power on
// asks its BMC what to boot. From virtual media it starts the agent, the program
// that a real ramdisk starts, on disks that are sparse files. From its disk it
// starts a simulated operating system (package guest), which takes its users and
// keys from the seed that lies there; where no system lies on the disk, the node
// has no bootable device. So what a node shows is what was really written to it.
//
// The nodes of a rack may be virtual machines instead (package qemu): then firmware,
// ramdisk, disks and systems are real ones, and only the BMC is the lab's.
//
// Identities, disks, what the BMCs remember and which nodes were on is kept in the
// lab's folder between runs. Faults, of the BMCs and of the machines, are added
// through Node or over the control API.
package lab
