// Package redfish is the built-in backend: it controls servers through the
// Redfish service of their BMC.
//
// New makes a core.Connector. Each conversation has one HTTP transport and so one
// TLS connection; requests to one BMC go one after the other, and one job of this
// process speaks to it at a time. The lowest layer, gate, is the only way to the
// wire: it asks the core.Fence before every request that is not a read, and lets
// nothing go to another host. Above it go-retryablehttp sends again what is known
// not to have been taken (retry.go), and above that gofish speaks Redfish.
//
// A verb does something, then reads the state back and judges by that alone
// (settle.go): an answer that says neither yes nor no, such as HTTP 500 or a cut
// connection, is never followed by the same action again, only by a look.
//
// What vendors do in their own way is data in quirks.go.
//
// What brings a server to its ready state are facets (core/facets.go): bios.go,
// order.go, secure.go, volumes.go and firmware.go read and write; attribute.go,
// layout.go and version.go decide, and ask nobody. What waits for a reset is always
// read from the BMC, so that nothing depends on who began it.
//
// A BMC that shows Off while its server runs cannot be seen through by its power
// state, and nothing here pretends to: TurnOff always sends the command and does
// not trust a state that is already Off. What proves that an old system is gone
// is the agent's check-in under a key of this attempt.
package redfish
