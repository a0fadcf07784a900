package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"

	"github.com/metalpool/metalpool/core"
)

// Single is an Authenticator of one token alone.
func Single(p Principal, token string) Authenticator {
	return single{p, sha256.Sum256([]byte(token))}
}

type single struct {
	principal Principal
	hash      [sha256.Size]byte
}

func (s single) Authenticate(_ context.Context, token string) (Principal, error) {
	hash := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(hash[:], s.hash[:]) != 1 {
		return Principal{}, &core.Error{Op: "authenticate", Kind: core.Denied, Err: plain("the server does not know this token"), Hint: "ask the pool's operator for one, and set METALPOOL_TOKEN or run 'metalpool login'"}
	}
	return s.principal, nil
}
