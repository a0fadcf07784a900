package core

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A token may be limited to some pools. What it is for is decided here, and asked inside
// of the transaction that changes something: what was true a moment ago is no permission.

type tokenKey struct{}

// AskedWith is a context of what somebody asks who was let in by a token. Without one it
// is somebody of this host, who may do all that its files let him.
func AskedWith(ctx context.Context, t Token) context.Context {
	return context.WithValue(ctx, tokenKey{}, t)
}

// askedWith is the token of AskedWith; the zero Token is for all pools.
func askedWith(ctx context.Context) Token {
	t, _ := ctx.Value(tokenKey{}).(Token)
	return t
}

// Allows reports whether the token is for a pool.
func (t Token) Allows(pool string) bool {
	return len(t.Pools) == 0 || slices.Contains(t.Pools, pool)
}

// InPool refuses with Denied what is asked of a pool that the token is not for; "" is
// DefaultPool.
func (t Token) InPool(op, pool string) error {
	if pool == "" {
		pool = DefaultPool
	}
	if t.Allows(pool) {
		return nil
	}
	return &Error{Op: op, Kind: Denied, Err: fmt.Errorf("the token of %s is for %s, and not for pool %q", t.Name, strings.Join(t.Pools, ", "), pool), Hint: "name one of these pools, or ask the pool's operator for another token"}
}

// Everywhere refuses with Denied what concerns all pools to who has a part in some.
func (t Token) Everywhere(op string) error {
	if len(t.Pools) == 0 {
		return nil
	}
	return &Error{Op: op, Kind: Denied, Err: fmt.Errorf("the token of %s is for %s, and this concerns all pools", t.Name, strings.Join(t.Pools, ", ")), Hint: "ask an operator of all pools"}
}

// reach reads a node that somebody asks to have something done to.
func reach(ctx context.Context, tx Tx, op string, id NodeID) (Node, error) {
	n, err := tx.Node(id)
	switch {
	case Is(err, NotFound):
		return Node{}, noSuchNode(tx, op, id)
	case err != nil:
		return Node{}, err
	}
	return n, withNode(askedWith(ctx).InPool("reach a node", n.Pool), id)
}

// mayGive decides whether a pool may be given a profile of these steps. Whoever has some
// pools only has their machines, too, and reads there what a step is given: so he hands
// nothing of the hosts that work on the pools to machines that have not been trusted with
// it by who is for all pools. What the pool has already it was given by one of those.
func (t Token) mayGive(there Pool, profile string, steps []Step) error {
	if len(t.Pools) == 0 || slices.Contains(there.choices(), profile) {
		return nil
	}
	for _, s := range steps {
		if why := s.usesOurHost(); why != "" {
			return &Error{Op: "give pool " + there.Name + " profile " + profile, Kind: Denied,
				Err:  fmt.Errorf("the token of %s is for %s, and of step %s of this profile %s", t.Name, strings.Join(t.Pools, ", "), s.Name, why),
				Hint: "ask an operator of all pools to give it that (in a rack file, under pools: profile, or profiles)"}
		}
	}
	return nil
}

// checkGiven is mayGive of all that a pool is to have.
func checkGiven(tx Tx, t Token, there, want Pool) error {
	if len(t.Pools) == 0 {
		return nil
	}
	there.Name = want.Name // where there is none yet, it has nothing
	for _, profile := range want.choices() {
		steps, err := profileSteps(tx, profile)
		if err != nil {
			return err
		}
		if err := t.mayGive(there, profile, steps); err != nil {
			return err
		}
	}
	return nil
}

// mayDeclareStep refuses to change a step that has secrets, as a server refuses references
// of passwords: the step decides who gets to see what they lead to. So it does one that
// says what is run on this host. there is the step so far, if it was found.
func mayDeclareStep(said, there Step, found bool) error {
	why := said.FromOurHost()
	if why == "" || found && said.Same(there) {
		return nil
	}
	return &Error{Op: "declare step " + said.Name, Kind: Denied, Err: fmt.Errorf("%s: a server takes such a step from nobody but its own host", why), Hint: "apply it there, with METALPOOL_URL naming the store"}
}
