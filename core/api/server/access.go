package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// principal is who a request comes from: a token, and an address.
type principal struct {
	core.Token
	from string
	// again asks whether the token is still good.
	again    func(context.Context) error
	presence *presence
}

type principalKey struct{}

// caller is who asks; the door has let in nobody else.
func caller(ctx context.Context) principal {
	p, _ := ctx.Value(principalKey{}).(principal)
	return p
}

// admit is the door: who has no token learns nothing but that.
func (s *Server) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(api.HeaderLevel, fmt.Sprint(api.Level))
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if !guarded(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		if err := checkLevel(r.Header.Get(api.HeaderLevel)); err != nil {
			turnAway(w, http.StatusBadRequest, err)
			return
		}
		from := hostOf(r)
		if s.failures.spent(from) && !s.welcome.knows(secretOf(r)) {
			tooMany(w, from, 0)
			return
		}
		token, err := s.authenticate(r)
		if err != nil {
			status := api.Status(core.KindOf(err))
			if s.outdated(err) {
				status = http.StatusServiceUnavailable
			} else if core.Is(err, core.Denied) {
				s.failures.take(from)
				s.welcome.forget(secretOf(r))
				s.log.Warn("turned away", "from", from, "why", err)
				w.Header().Set("WWW-Authenticate", "Bearer")
				status = http.StatusUnauthorized
			}
			turnAway(w, status, err)
			return
		}
		s.welcome.meet(secretOf(r))
		if wait := s.rates.take(token.ID); wait > 0 {
			tooMany(w, "the token "+token.ID, wait)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, principal{token, from, func(ctx context.Context) error {
			_, err := s.authenticate(r.WithContext(ctx))
			return err
		}, s.present})))
	})
}

// putOut reports whether the caller's token is good no more: what is told for hours is
// told to who may hear it by then. A store that cannot be asked puts nobody out.
func (p principal) putOut(ctx context.Context) bool {
	err := p.again(ctx)
	return core.Is(err, core.Denied) && !errors.Is(err, core.ErrOutdated)
}

// secretOf is the token that a request shows; "" for none.
func secretOf(r *http.Request) string {
	secret, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return secret
}

func (s *Server) authenticate(r *http.Request) (core.Token, error) {
	secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || secret == "" {
		return core.Token{}, &core.Error{Op: "authenticate", Kind: core.Denied, Err: plain("no token was sent"), Hint: "set METALPOOL_TOKEN, or run 'metalpool login'"}
	}
	return s.pool.Authenticate(r.Context(), secret)
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
	level, err := strconv.Atoi(sent)
	if err != nil || level < 1 {
		return &core.Error{Op: "read the request", Kind: core.Invalid, Err: fmt.Errorf("the header %s is no number", api.HeaderLevel), Hint: "leave it out, or send the level of the API that you speak"}
	}
	other := func(hint string) error {
		return &core.Error{Op: "speak with the server", Kind: core.Invalid, Err: fmt.Errorf("this client speaks level %d of the API, and the server levels %d to %d", level, api.LeastLevel, api.Level), Hint: hint}
	}
	switch {
	case level > api.Level:
		return other("upgrade the server, or use an older client")
	case level < api.LeastLevel:
		return other("upgrade the client")
	}
	return nil
}

// needs refuses who may not do what a role is needed for. instead is what a user may do.
func (p principal) needs(r core.Role, what, instead string) error {
	if p.Role.Covers(r) {
		return nil
	}
	hint := "ask the pool's operator for another token"
	if instead != "" && p.Role == core.RoleUser {
		hint = instead + ", or " + hint
	}
	return &core.Error{Op: what, Kind: core.Denied, Err: fmt.Errorf("the token of %s has the role %s, and this takes %s", p.Name, p.Role, r), Hint: hint}
}

// sees reports whether a machine is there for the caller. A tombstone is nobody's.
func (p principal) sees(m core.Machine) bool {
	switch {
	case m.Owner == "" && m.Pool == "":
		return true
	case !p.Allows(m.Pool):
		return false
	}
	return p.Role != core.RoleUser || m.Owner == p.Name
}

// shownImage is an image as the caller sees it. What follows the question mark of an
// address is often what lets one in: a signature, or a token.
func (p principal) shownImage(i core.Image) core.Image {
	if p.Role != core.RoleOperator {
		i.Source, _, _ = strings.Cut(i.Source, "?")
	}
	return i
}

// shown is a node as the caller sees it: nobody is told a secret, sealed as it may be,
// and only operators how its BMC is reached.
func (p principal) shown(n core.Node, own map[core.AllocationID]bool) core.Node {
	n.Spec.BMC.Secret = nil
	if p.Role == core.RoleOperator {
		return n
	}
	n.Spec.BMC = core.Endpoint{Backend: n.Spec.BMC.Backend}
	if p.Role == core.RoleUser && !own[n.Allocation] {
		n.Allocation, n.Attempt, n.Reason = "", "", ""
	}
	return n
}
