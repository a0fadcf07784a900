package server

import (
	"errors"

	"github.com/metalpool/metalpool/core"
)

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
