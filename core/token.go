package core

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Role is what a token allows, each one more than the one before.
type Role string

const (
	RoleViewer   Role = "viewer"   // reads all that is no secret
	RoleUser     Role = "user"     // takes machines, and sees nobody else's
	RoleOperator Role = "operator" // everything
)

// Roles are all of them, the least first.
var Roles = []Role{RoleViewer, RoleUser, RoleOperator}

// Covers reports whether who has this role may do what another one is needed for.
func (r Role) Covers(needed Role) bool {
	return slices.Contains(Roles, r) && slices.Index(Roles, r) >= slices.Index(Roles, needed)
}

// Token lets somebody in through a server. The token itself is told once, when it is
// made; kept is what tells it from others.
type Token struct {
	ID   string `json:"id"`
	Name string `json:"name"` // the owner of what is taken with it; several tokens may share one
	Role Role   `json:"role"`
	// Hash is the token's SHA-256, lower-case hexadecimal. That is enough: the token is
	// 256 random bits, so that nobody finds it by trying, however fast that is. A slow
	// hash is for what people think up.
	Hash  string   `json:"hash,omitempty"`
	Pools []string `json:"pools,omitempty"` // the only ones it is for; none means all
	// Quota is how many unreleased allocations its owner may have; 0: no limit.
	Quota     int       `json:"quota,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	// Request is the write that made it, where its caller said; see TokenOrder.
	Request string `json:"request,omitempty"`
}

// TokenOrder is a token asked for.
type TokenOrder struct {
	Name  string
	Role  Role // default: RoleUser
	Pools []string
	Quota int
	// Lifetime is how long it is good; 0 is until it is revoked.
	Lifetime time.Duration
	By       string // who makes it, for the record; default: this process
	// Request tells one order from another, whoever is asked. The same within an hour is
	// one whose answer was lost, with a token that nobody was told: that one is revoked as
	// the next is made. "" is an order of its own.
	Request string
}

// tokenNames are owners: people, teams, jobs.
var tokenNames = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@/+-]{0,62}$`) })

func (o TokenOrder) validate() error {
	bad := func(hint, format string, args ...any) error {
		return &Error{Op: "create token " + o.Name, Kind: Invalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	switch {
	case !tokenNames().MatchString(o.Name):
		return bad("use 1 to 63 letters, digits and any of . _ @ / + -", "%q cannot name an owner", o.Name)
	case !slices.Contains(Roles, o.Role):
		return bad("say viewer, user or operator", "%q is no role", o.Role)
	case o.Quota < 0:
		return bad("0 means no limit", "the quota is negative")
	case o.Quota > 0 && o.Role == RoleViewer:
		return bad("leave the quota out, or make it a user's", "a viewer takes no machines")
	case o.Lifetime < 0:
		return bad("leave it out for a token without an end", "it would have expired before it began")
	}
	return nil
}

// usable says why a token lets nobody in any more.
func (t Token) usable(now time.Time) error {
	denied := func(format string, args ...any) error {
		return &Error{Op: "authenticate", Kind: Denied, Err: fmt.Errorf(format, args...), Hint: hintToken}
	}
	switch {
	case !t.RevokedAt.IsZero():
		return denied("the token %s of %s was revoked at %s", t.ID, t.Name, t.RevokedAt.Format(time.RFC3339))
	case !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt):
		return denied("the token %s of %s expired at %s", t.ID, t.Name, t.ExpiresAt.Format(time.RFC3339))
	}
	return nil
}

const hintToken = "ask the pool's operator for a new one, and set METALPOOL_TOKEN or run 'metalpool login'"

// errUnknownToken says no more than that: who guesses is not told how near it came.
var errUnknownToken = &Error{Op: "authenticate", Kind: Denied, Err: errors.New("the server does not know this token"), Hint: hintToken}
