package server

import (
	"errors"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// newAddress refuses to have the password that is kept sent to a BMC of the client's
// choice: nobody is told it, and so nobody has it told to his own server.
func newAddress(n core.Node, c api.NodeChange) error {
	if c.URL == nil || *c.URL == n.Spec.BMC.URL || c.Password != nil && *c.Password != "" {
		return nil
	}
	return &core.Error{Op: "set", Node: n.ID, Kind: core.Denied, Err: errors.New("the BMC would have another address, and be sent the password that was kept for this one"), Hint: "give the password with it; on the server's own host the address alone may be changed"}
}

// ownPassword refuses references: with them a client could have the server run programs,
// or send what is in its files and environment to a BMC of the client's choice. A token
// is for the pool, not for the server's host.
func ownPassword(op, password string) error {
	if !core.IsReference(password) {
		return nil
	}
	return &core.Error{Op: op, Kind: core.Denied, Err: errors.New("the password is a reference (env:, file: or exec:), which a server takes from nobody but its own host"),
		Hint: "set it there, with METALPOOL_URL naming the store: 'metalpool node set NODE --password'; a password that begins so is written literal:env:…"}
}
