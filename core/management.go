package core

import (
	"context"
	"errors"
	"fmt"
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
	// UntilStarted: its OS was written, and told to start. Nobody looks whether it does: that
	// is for images without SSH, and for networks that this process does not reach.
	UntilStarted WaitFor = "started"
	// UntilSSH, where nothing is said: its SSH shows the host key that was made for it.
	UntilSSH WaitFor = "ssh"
	// UntilCloudInit: cloud-init has done, without an error, all that user data asks.
	UntilCloudInit WaitFor = "cloud-init"
)

const (
	stepCloudInit = "cloud-init"
	stepSettle    = "cloud-init settles"
	stepForget    = "remove management key"
)

// checkWaitFor refuses what the pool's policy rules out.
func checkWaitFor(o Order, p Pool) error {
	bad := func(hint, format string, args ...any) error {
		return &Error{Op: "wait for " + string(o.WaitFor), Allocation: o.Name, Kind: Invalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	switch o.WaitFor {
	case "", UntilStarted, UntilSSH:
		return nil
	case UntilCloudInit:
		if p.management() == ManageNever {
			return bad("wait for ssh, or have the pool set: metalpool pool set "+p.Name+" --management-key deploy", "to wait for cloud-init is to log in, and pool %q keeps no management key", p.Name)
		}
		return nil
	}
	return bad(fmt.Sprintf("say %s, %s or %s", UntilStarted, UntilSSH, UntilCloudInit), "%q is nothing to wait for", o.WaitFor)
}

// newLogin makes our way into the machine of an order, or none where it needs none.
func (e *Engine) newLogin(ctx context.Context, o Order, steps []Step) (key *LoginKey, keep bool, err error) {
	p, err := e.Pool(ctx, o.Request.Pool)
	if err != nil {
		return nil, false, err
	}
	if err := checkWaitFor(o, p); err != nil {
		return nil, false, err // the policy is another one than when the order queued
	}
	keep = p.management() == ManageAlways
	if err := checkReach(o, p, steps); err != nil {
		return nil, false, err
	}
	if !keep && o.WaitFor != UntilCloudInit && !logsIn(steps, PhaseDeployed) {
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

// enter logs in to the machine that is being deployed, or was given up.
func (w *work) enter(ctx context.Context) (Login, error) {
	at, key, err := w.wayIn(ctx)
	if err != nil {
		return nil, err
	}
	return w.e.deployer.LogIn(ctx, at, key)
}

// wayIn is where that machine is, and our private key to it.
func (w *work) wayIn(ctx context.Context) (Access, []byte, error) {
	if w.attempt.Job == JobClean {
		a, err := w.e.allocation(ctx, w.attempt.Allocation)
		if err != nil {
			return Access{}, nil, err
		}
		key, err := w.e.sealer.Open(w.attempt.Login.Private)
		return a.Access, key, err
	}
	order, err := w.order(ctx)
	if err != nil {
		return Access{}, nil, err
	}
	at := w.access(order)
	if at.SSHUser == "" {
		image, err := w.image(ctx)
		if err != nil {
			return Access{}, nil, err
		}
		at.SSHUser = image.User
	}
	key, err := w.e.sealer.Open(w.attempt.Login.Private)
	return at, key, err
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
			err = w.setKeys(ctx, login, replaceKeys(there, []string{w.attempt.Login.Public}, nil))
		}
		_ = login.Close() // what counts is whether the next one is refused
		if err != nil {
			return err
		}
	}
	return &Error{Op: stepForget, Node: w.node.ID, Kind: Invalid, Err: errors.New("the machine lets the management key in after it was taken out of authorized_keys"), Hint: "look for where else the image's sshd reads keys, or set the pool's management key to always or never"}
}
