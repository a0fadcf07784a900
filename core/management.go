package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// What is done on a machine after its OS has started needs a way in: a key pair of
// its own for each deploy, sealed in the store, whose public half is among the login
// user's keys under a comment that says so.

// ManagementPolicy is whether a pool has that way in.
type ManagementPolicy string

const (
	// ManageDeploy, the default: where a deploy needs it, and until its end.
	ManageDeploy ManagementPolicy = "deploy"
	// ManageAlways: as long as the machine is there. Keys can then be changed in place.
	ManageAlways ManagementPolicy = "always"
	ManageNever  ManagementPolicy = "never"
)

func (p Pool) management() ManagementPolicy {
	if p.ManagementKey == "" {
		return ManageDeploy
	}
	return p.ManagementKey
}

// WaitFor is how far a machine has come.
type WaitFor string

const (
	// UntilSSH: its SSH shows the host key that was made for it.
	UntilSSH WaitFor = "ssh"
	// UntilCloudInit: cloud-init has done, without an error, all that user data asks.
	UntilCloudInit WaitFor = "cloud-init"
)

const (
	stepCloudInit = "cloud-init"
	stepForget    = "remove management key"
)

// checkWaitFor refuses what the pool's policy rules out.
func checkWaitFor(o Order, p Pool) error {
	bad := func(hint, format string, args ...any) error {
		return &Error{Op: "wait for " + string(o.WaitFor), Allocation: o.Name, Kind: Invalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	switch o.WaitFor {
	case "", UntilSSH:
		return nil
	case UntilCloudInit:
		if p.management() == ManageNever {
			return bad("wait for ssh, or have the pool set: metalpool pool set "+p.Name+" --management-key deploy", "to wait for cloud-init is to log in, and pool %q keeps no management key", p.Name)
		}
		return nil
	}
	return bad(fmt.Sprintf("say %s or %s", UntilSSH, UntilCloudInit), "%q is nothing to wait for", o.WaitFor)
}

// newLogin makes our way into the machine of an order, or none where it needs none.
func (e *Engine) newLogin(ctx context.Context, o Order) (key *LoginKey, keep bool, err error) {
	p, err := e.Pool(ctx, o.Request.Pool)
	if err != nil {
		return nil, false, err
	}
	if err := checkWaitFor(o, p); err != nil {
		return nil, false, err // the policy is another one than when the order queued
	}
	keep = p.management() == ManageAlways
	if !keep && o.WaitFor != UntilCloudInit {
		return nil, false, nil
	}
	private, public, err := e.deployer.NewLoginKey("metalpool-management-" + string(o.ID))
	if err != nil {
		return nil, false, err
	}
	sealed, err := e.sealer.Seal(private)
	return &LoginKey{Private: sealed, Public: public}, keep, err
}

// logIn opens a machine with our own key.
func (e *Engine) logIn(ctx context.Context, at Access, key *LoginKey) (Login, error) {
	private, err := e.sealer.Open(key.Private)
	if err != nil {
		return nil, err
	}
	return e.deployer.LogIn(ctx, at, private)
}

// enter logs in to the machine that is being deployed.
func (w *work) enter(ctx context.Context) (Login, error) {
	order, err := w.order(ctx)
	if err != nil {
		return nil, err
	}
	at := w.access(order)
	if at.SSHUser == "" {
		image, err := w.image(ctx)
		if err != nil {
			return nil, err
		}
		at.SSHUser = image.User
	}
	return w.e.logIn(ctx, at, w.attempt.Login)
}

func awaitCloudInit(ctx context.Context, w *work) error {
	login, err := w.enter(ctx)
	if Is(err, Denied) {
		// cloud-init makes the user, and may not have come as far.
		return &Error{Op: stepCloudInit, Node: w.node.ID, Kind: Transient, Err: err}
	}
	if err != nil {
		return err
	}
	defer func() { _ = login.Close() }() // nothing hangs on it
	return login.AwaitCloudInit(ctx)
}

// forgetLogin takes our key away, and is done when it is refused.
func forgetLogin(ctx context.Context, w *work) error {
	for range 2 {
		login, err := w.enter(ctx)
		if Is(err, Denied) {
			return nil
		}
		if err != nil {
			return err
		}
		there, err := login.Keys(ctx)
		if err == nil {
			err = login.SetKeys(ctx, replaceKeys(there, []string{w.attempt.Login.Public}, nil))
		}
		_ = login.Close() // what counts is whether the next one is refused
		if err != nil {
			return err
		}
	}
	return &Error{Op: stepForget, Node: w.node.ID, Kind: Invalid, Err: errors.New("the machine lets the management key in after it was taken out of authorized_keys"), Hint: "look for where else the image's sshd reads keys, or set the pool's management key to always or never"}
}

// replaceKeys takes keys out of authorized_keys and puts others in, and leaves what
// somebody else put there. Keys are told apart without their comments.
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

// sameKey compares type and key. A line with options before them is somebody else's.
func sameKey(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	return len(x) >= 2 && len(y) >= 2 && x[0] == y[0] && x[1] == y[1]
}

// checkKeys refuses keys that no seed would have.
func (e *Engine) checkKeys(id AllocationID, keys []string) error {
	if len(keys) == 0 {
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
		l, err = e.takeLease(tx, n.ID, false)
		return err
	})
	if err != nil {
		return err
	}
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
	want := replaceKeys(there, a.Order.Keys, keys)
	if err := login.SetKeys(ctx, want); err != nil {
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
		a.Order.Keys = keys
		if err := swapAllocation(tx, &a); err != nil {
			return err
		}
		return tx.AddEvent(Event{Node: n.ID, Allocation: a.ID, Generation: l.Generation, Type: Note, Message: "keys changed", By: e.process})
	})
}
