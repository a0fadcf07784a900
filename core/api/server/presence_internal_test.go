package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
)

// An end of a token that was known before is kept to as well as one that comes: whoever
// listens is asked for his token at that moment, and not at the next look, in an hour.
func TestWhoseTokenExpiresHearsNoMore(t *testing.T) {
	const lifetime = 20 * time.Minute
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		p := principal{Token: core.Token{ID: "t", ExpiresAt: begin.Add(lifetime)}, presence: newPresence(time.Hour)}
		p.again = func(context.Context) error {
			if time.Now().Before(p.ExpiresAt) {
				return nil
			}
			return &core.Error{Op: "authenticate", Kind: core.Denied, Err: errors.New("the token has expired")}
		}
		ended := time.Duration(0)
		p.whileIn(t.Context(), func() { ended = time.Since(begin) })
		if ended != lifetime || len(p.presence.here) > 0 {
			t.Errorf("it hears no more after %s, want %s; %d are still here", ended, lifetime, len(p.presence.here))
		}
	})
}
