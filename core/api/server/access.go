package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// Role is what a token allows, each one more than the one before.
type Role string

const (
	Viewer   Role = "viewer"   // reads all that is no secret
	User     Role = "user"     // takes machines, and sees no others' than its own
	Operates Role = "operator" // everything
)

func (r Role) rank() int { return slices.Index([]Role{Viewer, User, Operates}, r) + 1 }

// Principal is who a request comes from.
type Principal struct {
	Name  string // the owner of what is taken
	Role  Role
	Pools []string // the only ones; none means all
}

// Authenticator tells who a token stands for. An unknown, expired or revoked one is
// Denied, and the error says which of these only where the token was right once.
type Authenticator interface {
	Authenticate(ctx context.Context, token string) (Principal, error)
}

type principalKey struct{}

// caller is who asks; the door has let in nobody else.
func caller(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}

// admit is the door: who has no token learns nothing but that.
func (s *Server) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(api.HeaderLevel, fmt.Sprint(api.Level))
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if !strings.HasPrefix(r.URL.Path, api.Prefix+"/") {
			next.ServeHTTP(w, r)
			return
		}
		if err := checkLevel(r.Header.Get(api.HeaderLevel)); err != nil {
			turnAway(w, http.StatusBadRequest, err)
			return
		}
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || token == "" {
			w.Header().Set("WWW-Authenticate", "Bearer")
			turnAway(w, http.StatusUnauthorized, &core.Error{Op: "authenticate", Kind: core.Denied, Err: plain("no token was sent"), Hint: "set METALPOOL_TOKEN, or run 'metalpool login'"})
			return
		}
		p, err := s.auth.Authenticate(r.Context(), token)
		if err != nil {
			status := api.Status(core.KindOf(err))
			if core.Is(err, core.Denied) {
				status = http.StatusUnauthorized
			}
			turnAway(w, status, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, p)))
	})
}

// turnAway answers before a body was read, and does not wait for it.
func turnAway(w http.ResponseWriter, status int, err error) {
	p := api.NewProblem(err)
	p.Status = status
	unreadBody(w)
	writeProblem(w, p)
}

// checkLevel refuses a client that this server does not understand, or no longer.
func checkLevel(sent string) error {
	if sent == "" {
		return nil // no client of ours; what it sends is checked all the same
	}
	var level int
	if _, err := fmt.Sscanf(sent, "%d", &level); err != nil || level < 1 {
		return &core.Error{Op: "read the request", Kind: core.Invalid, Err: fmt.Errorf("the header %s is no number", api.HeaderLevel), Hint: "leave it out, or send the level of the API that you speak"}
	}
	switch {
	case level > api.Level:
		return &core.Error{Op: "speak with the server", Kind: core.Invalid, Err: fmt.Errorf("this client speaks level %d of the API, the server levels %d to %d", level, api.LeastLevel, api.Level), Hint: "upgrade the server, or use an older client"}
	case level < api.LeastLevel:
		return &core.Error{Op: "speak with the server", Kind: core.Invalid, Err: fmt.Errorf("this client speaks level %d of the API, the server levels %d to %d", level, api.LeastLevel, api.Level), Hint: "upgrade the client"}
	}
	return nil
}

// needs refuses who may not do what a role is needed for.
func (p Principal) needs(r Role, what string) error {
	if p.Role.rank() >= r.rank() {
		return nil
	}
	return &core.Error{Op: what, Kind: core.Denied, Err: fmt.Errorf("the token %s is a %s's, and this takes a %s's", p.Name, p.Role, r), Hint: "ask the pool's operator for another token"}
}

// inPool refuses a pool that the token is not for.
func (p Principal) inPool(op, pool string) error {
	if pool == "" {
		pool = core.DefaultPool
	}
	if p.allows(pool) {
		return nil
	}
	return &core.Error{Op: op, Kind: core.Denied, Err: fmt.Errorf("the token %s is for %s, and not for pool %q", p.Name, strings.Join(p.Pools, ", "), pool), Hint: "name one of these pools, or ask the pool's operator for another token"}
}

func (p Principal) allows(pool string) bool {
	return len(p.Pools) == 0 || slices.Contains(p.Pools, pool)
}

// sees reports whether a machine is there for the caller. A tombstone is nobody's.
func (p Principal) sees(m core.Machine) bool {
	switch {
	case m.Owner == "" && m.Pool == "":
		return true
	case !p.allows(m.Pool):
		return false
	}
	return p.Role != User || m.Owner == p.Name
}

// shown is a node as the caller sees it: nobody is told a secret, sealed as it may be,
// and only operators how its BMC is reached.
func (p Principal) shown(n core.Node, own map[core.AllocationID]bool) core.Node {
	n.Spec.BMC.Secret = nil
	if p.Role == Operates {
		return n
	}
	n.Spec.BMC = core.Endpoint{Backend: n.Spec.BMC.Backend}
	if p.Role == User && !own[n.Allocation] {
		n.Allocation, n.Attempt, n.Reason = "", "", ""
	}
	return n
}
