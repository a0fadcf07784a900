package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/docker/machine/libmachine/log"

	"github.com/metalpool/metalpool/core"
)

const (
	checkTimeout    = time.Minute
	rollBackTimeout = 5 * time.Minute
)

// PreCreateCheck implements drivers.Driver. It allocates nothing: where it fails,
// docker-machine stores nothing, and no rm could give anything back.
func (d *Driver) PreCreateCheck() error {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	order, err := d.order()
	if err != nil {
		return d.explain(err)
	}
	service, err := d.pool(ctx)
	if err != nil {
		return d.explain(err)
	}
	if err := service.Check(ctx, order); err != nil {
		return d.explain(err)
	}
	if d.tokenWillBeMissed() {
		log.Warnf("The token is not stored: set %s for later commands, or they cannot reach the pool.", tokenVariable)
	}
	return nil
}

// Create implements drivers.Driver. When it fails it has given back what it took:
// docker-machine keeps nothing that a failed create has learned.
func (d *Driver) Create() error {
	// Ctrl-C reaches docker-machine, which dies of it, and us. Until our next ping
	// is missed there are seconds to give the server back in; whatever is left undone
	// then, rm or the pool finishes.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Nobody reads what we print by then, and that must not kill us.
	unread := make(chan os.Signal, 1)
	signal.Notify(unread, syscall.SIGPIPE)
	defer signal.Stop(unread)

	order, err := d.order()
	if err != nil {
		return d.explain(err)
	}
	ctx, cancel := context.WithTimeout(ctx, order.Wait+order.AcquireTimeout+order.DeployTimeout+core.CallMargin)
	defer cancel()
	if err := d.key.write(d.GetSSHKeyPath()); err != nil {
		return d.explain(localFault("write the SSH key", d.GetSSHKeyPath(), err))
	}
	service, err := d.pool(ctx)
	if err != nil {
		return d.explain(err)
	}
	m, err := service.Create(ctx, order, newProgress(log.Info))
	if err != nil {
		return d.rollBack(service, err)
	}
	d.AllocationID = m.ID // another one where the pool went on with what it had begun
	d.keep(m.Access)
	return nil
}

// rollBack gives back what a failed Create took, and returns why it failed and
// what became of the server.
func (d *Driver) rollBack(service core.Service, why error) error {
	// Fresh, since the time for creating may be what ran out.
	ctx, cancel := context.WithTimeout(context.Background(), rollBackTimeout)
	defer cancel()
	forget := fmt.Sprintf("'docker-machine rm -y %s' forgets the record", d.MachineName)
	m, err := service.Machine(ctx, d.AllocationID)
	taken := err == nil && m.Node != ""
	// An ID that the pool does not know is released as well: the pool then refuses
	// it for good, should a claim of ours still be on its way.
	err = service.Release(ctx, d.AllocationID, core.ReleaseOptions{Reason: "docker-machine create failed"}, newProgress(log.Info))
	switch {
	case err != nil:
		return d.explain(fmt.Errorf("%w; giving the server back failed, too: %w; 'docker-machine rm -y %s' tries again", why, err, d.MachineName))
	case taken:
		// What the pool advises is for callers who keep what they took; this one can only
		// read what happened.
		var e *core.Error
		if errors.As(why, &e) {
			told := *e
			told.Hint = "'metalpool machine logs " + d.MachineName + "' tells all of it"
			why = &told
		}
		how := " to be erased"
		switch {
		case m.Untouched(): // the pool lets go by itself of a server that it never reached
			how = " untouched"
		case m.State.Ended(): // by somebody else, in the middle of whatever it was
			how = ""
		}
		return d.explain(fmt.Errorf("%w; node %s was given back%s; %s", why, m.Node, how, forget))
	}
	return d.explain(fmt.Errorf("%w; no server is held; %s", why, forget))
}
