package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// keyLines are keys, a line each: one text of an order may be a whole authorized_keys.
func keyLines(texts []string) []string {
	var lines []string
	for _, text := range texts {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// mayLogIn are the keys of who may log in. Those of a change that has not come to its end
// may be on the machine: whoever goes back to what was there before is not told that all
// is as he asks.
func (o DeployOrder) mayLogIn() []string {
	if len(o.Tried) == 0 {
		return o.Keys
	}
	return replaceKeys(keyLines(o.Keys), nil, o.Tried)
}

// replaceKeys takes keys out of authorized_keys and puts others in, and leaves what
// somebody else put there.
func replaceKeys(lines, out, in []string) []string {
	kept := slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		return slices.ContainsFunc(out, func(k string) bool { return sameKey(line, k) })
	})
	for _, k := range in {
		if !slices.ContainsFunc(kept, func(line string) bool { return sameKey(line, k) }) {
			kept = append(kept, k)
		}
	}
	return kept
}

// sameKey compares lines without their comments. The options before a key are part of
// it: the same key with others is somebody else's line.
func sameKey(a, b string) bool { return withoutComment(a) == withoutComment(b) }

func withoutComment(line string) string {
	fields := strings.Fields(line)
	quoted := false // options may have blanks within quotes
	for i, f := range fields {
		named := strings.HasPrefix(f, "ssh-") || strings.HasPrefix(f, "ecdsa-") || strings.HasPrefix(f, "sk-")
		if named && !quoted && i+1 < len(fields) {
			return strings.Join(fields[:i+2], " ")
		}
		if (strings.Count(f, `"`)-strings.Count(f, `\"`))%2 != 0 {
			quoted = !quoted
		}
	}
	return strings.Join(fields, " ")
}

// checkKeys refuses keys that no seed would have.
func (e *Engine) checkKeys(id AllocationID, keys []string) error {
	if len(keyLines(keys)) == 0 {
		return &Error{Op: "change keys", Allocation: string(id), Kind: Invalid, Err: errors.New("no SSH key was given, so nobody could log in"), Hint: "give at least one public key"}
	}
	private, _, err := e.deployer.NewHostKeys()
	if err != nil {
		return err
	}
	_, err = e.deployer.RenderSeed(Seed{InstanceID: "check", Hostname: "check", User: "check", Keys: keys, HostKeys: private})
	return named(err, string(id))
}

// changeKeys lets others log in to a machine from now on. It is done on the machine
// first: what the store says, then, is what was read back there.
func (e *Engine) changeKeys(ctx context.Context, id AllocationID, keys []string) error {
	refuse := func(a Allocation, hint, format string, args ...any) error {
		return &Error{Op: "change keys", Allocation: a.Name, Kind: Invalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	var (
		n Node
		p Pool
		a Allocation
		l Lease
	)
	err := e.store.Update(ctx, func(tx Tx) (err error) {
		if n, err = ownedNode(tx, id, "change keys"); err != nil {
			return err
		}
		if a, err = followed(tx, id); err != nil {
			return err
		}
		if a.State != Deployed {
			return refuse(a, "try again once it is Deployed", "the machine is %s", a.State)
		}
		if a.Login == nil {
			return refuse(a, "redeploy it with the new keys; machines of a pool with 'metalpool pool set "+n.Pool+" --management-key always' can be changed while they run", "there is no way into the machine: it was deployed without a management key that stays")
		}
		if p, err = findPool(tx, n.Pool); err != nil {
			return err
		}
		if l, err = e.takeLease(tx, n.ID, false); err != nil {
			return err
		}
		// Before any of them is on the machine: should this be all that is ever heard of this
		// change, the next one knows what to take away.
		a.Order.Tried = replaceKeys(a.Order.Tried, nil, keyLines(keys))
		return swapAllocation(tx, &a)
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.Timeouts.OrDefaults().Power)
	defer cancel()
	ctx, w := e.begin(ctx, n, p, Attempt{Allocation: a.ID}, l, nil)
	defer w.end()
	login, err := e.logIn(ctx, a.Access, a.Login)
	if err != nil {
		return named(err, a.Name)
	}
	defer func() { _ = login.Close() }() // nothing hangs on it
	there, err := login.Keys(ctx)
	if err != nil {
		return named(err, a.Name)
	}
	want := replaceKeys(there, slices.Concat(keyLines(a.Order.Keys), a.Order.Tried), keyLines(keys))
	if err := w.setKeys(ctx, login, want); err != nil {
		return named(err, a.Name)
	}
	if found, err := login.Keys(ctx); err != nil || !slices.Equal(found, want) {
		return &Error{Op: "change keys", Allocation: a.Name, Kind: Transient, Err: errors.Join(errors.New("the machine does not have the keys that were written"), err), Hint: "try again"}
	}
	return w.commit(ctx, func(tx Tx) error {
		a, err := tx.Allocation(a.ID)
		if err != nil {
			return err
		}
		a.Order.Keys, a.Order.Tried = keys, nil
		if err := swapAllocation(tx, &a); err != nil {
			return err
		}
		return tx.AddEvent(Event{Node: n.ID, Allocation: a.ID, Generation: l.Generation, Type: Note, Message: "keys changed", By: e.process})
	})
}

// setKeys writes authorized_keys as a call to a BMC is made: while the lease is ours, and
// with an end before whoever takes it next begins.
func (w *work) setKeys(ctx context.Context, login Login, lines []string) error {
	until, err := w.fence(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	return login.SetKeys(ctx, lines)
}
