package core

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// access is how the machine will be reached: as enrolment fixed it, else at the address
// that it configures, else where its ramdisk was.
func (w *work) access(order DeployOrder) Access {
	spec := w.node.Spec
	at := Access{Address: spec.Address, SSHPort: order.SSHPort, SSHUser: order.SSHUser, DockerPort: spec.DockerPort, HostKeys: w.attempt.PublicHostKeys}
	if n := spec.Network; at.Address == "" && n != nil && n.Address.IsValid() {
		at.Address = n.Address.Addr().String()
	}
	if at.Address == "" && w.attempt.Boot != nil && w.attempt.Boot.Agent != nil {
		at.Address = w.attempt.Boot.Agent.Peer
	}
	if at.SSHPort == 0 {
		at.SSHPort = spec.SSHPort
	}
	if at.SSHPort == 0 {
		at.SSHPort = 22
	}
	if at.DockerPort == 0 {
		at.DockerPort = 2376
	}
	return at
}

// awaitSSH waits until the machine shows a host key of this attempt. Any other key
// is another system, or somebody in between. An OS that was started by kexec and
// shows no life in time is started once more, from its disk.
func awaitSSH(ctx context.Context, w *work) error {
	order, err := w.order(ctx)
	if err != nil {
		return err
	}
	var (
		at    = w.access(order)
		watch = vigil{direct: w.direct(at)}
		began = time.Now()
		limit = w.pool.Timeouts.OrDefaults().Kexec
		best  evidence
		pause = 100 * time.Millisecond
		alive bool
	)
	for {
		looked := time.Now()
		look, err := w.e.deployer.LookAtSSH(ctx, at.Address, at.SSHPort)
		ours := look.Sign == KeyShown && slices.Contains(w.attempt.PublicHostKeys, look.Key)
		if !alive && (ours || watch.alive(look.Sign, time.Since(looked))) {
			if alive = true; !w.attempt.Lifeless.IsZero() {
				if err := w.rememberReboot(ctx, at, order.Image); err != nil {
					return err
				}
			}
		}
		if ours {
			return nil
		}
		// It refuses, too, while it ends.
		ramdisk := watch.direct && !alive && look.Sign == Refused && time.Since(began) < ramdiskGone
		if ctx.Err() == nil && !ramdisk {
			best.add(look, err)
			w.waits(ctx, stepSSH, found(look, at))
		}
		if !alive && w.attempt.Handover == Kexec && time.Since(began) >= limit {
			return w.lifeless(ctx, at, limit)
		}
		if wait(ctx, pause) != nil {
			return w.noKey(ctx, at, best)
		}
		if moved := w.declaredMeanwhile(ctx, order); place(moved) != place(at) {
			w.say(stepSSH, "looking at %s from now on", place(moved))
			at, best, watch = moved, evidence{}, vigil{direct: w.direct(moved)}
		}
		longest := w.e.timing.Retry
		if look.Sign > Silent {
			longest = min(longest, answeredPause)
		}
		pause = min(2*pause, longest)
	}
}

// answeredPause is how long to wait at most before the next look at an address that
// answers: SSH is near, and a look costs little.
const answeredPause = 500 * time.Millisecond

// declaredMeanwhile is where the machine is looked for by what the operator says now:
// who finds it at another address need not wait for the deploy to fail.
func (w *work) declaredMeanwhile(ctx context.Context, order DeployOrder) Access {
	if n, err := w.e.Node(ctx, w.node.ID); err == nil {
		w.node.Spec = n.Spec
	}
	return w.access(order)
}

// found says what a look came to.
func found(l SSHLook, at Access) string {
	switch l.Sign {
	case Refused:
		return place(at) + " refuses connections"
	case Accepted:
		return place(at) + " takes connections, and no SSH server greets"
	case Greeted:
		return "the SSH server at " + place(at) + " greets, and shows no host key"
	case KeyShown:
		return place(at) + " shows another host key than was made for this machine: " + l.Key
	}
	return "nothing answers at " + place(at)
}

// vigil tells the first sign of life of an OS from what the ramdisk before it, or
// somebody in between, would answer as well. A kernel that hangs on its way out of the
// ramdisk may refuse connections for ever: who refuses is the OS only where nothing
// answered in between.
type vigil struct {
	direct bool // the address is the machine's own
	silent bool // nothing answered for a moment: the ramdisk is gone
}

const (
	// ramdiskGone is when an agent that was told to leave has long left.
	ramdiskGone = time.Minute
	// askedTwice is when a look has asked a second time (RFC 6298): nothing answered
	// at first.
	askedTwice = time.Second
)

// alive judges what a look found that took so long.
func (v *vigil) alive(s Sign, took time.Duration) bool {
	v.silent = v.silent || s == Silent || took >= askedTwice
	return s >= Greeted || s > Silent && v.direct && v.silent
}

// direct reports whether the machine itself answers at the address: its ramdisk
// called from there, and no port was said to be another. At a loopback address it is
// this host that refuses for a machine that is dead.
func (w *work) direct(at Access) bool {
	b := w.attempt.Boot
	if a, err := netip.ParseAddr(at.Address); err == nil && a.IsLoopback() {
		return false
	}
	return b != nil && b.Agent != nil && b.Agent.Peer == at.Address && w.node.Spec.Agent.Address == "" && w.node.Spec.SSHPort == 0
}

// errStartedOver ends a step that has written down that others are to be done again.
var errStartedOver = errors.New("an earlier step is to be done again")

// lifeless gives up on the OS that kexec started: the server starts cold from its
// disk, and the wait for SSH begins anew. That happens once, whoever goes on.
func (w *work) lifeless(ctx context.Context, at Access, limit time.Duration) error {
	why := fmt.Sprintf("no sign of life at %s for %s after kexec; turning the server off and on, to start from its disk", place(at), limit)
	w.say(stepSSH, "%s", why)
	err := w.save(ctx, func(a *Attempt) {
		a.Handover, a.Lifeless = coldStart, time.Now().UTC()
		delete(a.Met, stepBoot)
	}, w.event(StepFailed, stepSSH, why))
	if err != nil {
		return err
	}
	return errStartedOver
}

// rememberReboot keeps that this node needs its firmware to start an OS: kexec led
// nowhere, and the same disk lives.
func (w *work) rememberReboot(ctx context.Context, at Access, image string) error {
	return w.commit(ctx, func(tx Tx) error {
		n, err := tx.Node(w.node.ID)
		if err != nil || n.Spec.Boot == Reboot {
			return err
		}
		n.Spec.Boot = Reboot
		n.Spec.BootWhy = fmt.Sprintf("image %s, started by kexec, showed no life at %s until %s, and did from its disk", image, place(at), w.attempt.Lifeless.Format(time.RFC3339))
		if err := tx.PutSpec(n); err != nil {
			return err
		}
		return tx.AddEvent(w.event(Note, stepSSH, "goes through its firmware from now on: "+n.Spec.BootWhy+"; 'metalpool node set "+string(n.ID)+" --boot kexec' has kexec tried again"))
	})
}

func place(at Access) string { return fmt.Sprintf("%s port %d", at.Address, at.SSHPort) }

// evidence is the most that any look at a machine's SSH found: the last one may have
// been cut short, and a key that was seen says more than a silence after it.
type evidence struct {
	look SSHLook
	err  error
}

func (e *evidence) add(l SSHLook, err error) {
	if l.Sign >= e.look.Sign {
		e.look, e.err = l, err
	}
}

// noKey says why the machine never showed the host key that was made for it.
func (w *work) noKey(ctx context.Context, at Access, e evidence) error {
	fix := fmt.Sprintf("'metalpool node set %s --address ADDRESS'", w.node.ID)
	what, hint := found(e.look, at), ""
	switch e.look.Sign {
	case Silent:
		hint = "the OS did not start, or has another address: look for it on the console or at the DHCP server, and fix it with " + fix
		switch {
		case w.node.Spec.Address != "":
			what += ", the address that the node was given"
		case w.node.Spec.Network != nil && w.node.Spec.Network.Address.IsValid():
			what += ", the address that it was to configure"
			hint = "the OS did not start, or did not configure its network: look at the console"
		default:
			what += ", which its ramdisk had"
		}
	case Refused:
		hint = "no SSH server runs there: look at the console whether the OS has started; is this its address? Else fix that with " + fix
	case Accepted:
		hint = "who listens there? If a port is forwarded, the OS may not have started: look at the console"
	case Greeted:
		hint = "the OS runs; its SSH server has no keys, or is starting all the time: look at the console"
	case KeyShown:
		hint = "another system has this address (" + fix + "), or the image has no cloud-init, or the user data sets other keys"
	}
	err := errors.New(what)
	if e.err != nil && e.look.Sign != KeyShown {
		err = fmt.Errorf("%s (%w)", what, e.err)
	}
	return &Error{Op: stepSSH, Node: w.node.ID, Kind: Timeout, Err: fmt.Errorf("%w%s", err, w.consolesWords(ctx, stepSSH)), Hint: hint}
}
