package driver

import (
	"context"
	"errors"
	"time"

	"github.com/docker/machine/libmachine/drivers"
	"github.com/docker/machine/libmachine/log"
	"github.com/docker/machine/libmachine/state"

	"github.com/metalpool/metalpool/core"
)

const (
	// askTimeout is short: `docker-machine ls` gives a machine 10 s.
	askTimeout = 5 * time.Second
	// stopTimeout is shared by the OS, which may end its work in the first half of
	// it, and by the fallback to off: GitLab Runner kills a stop after a minute.
	stopTimeout  = 50 * time.Second
	powerTimeout = 3 * time.Minute
	// bootTimeout is for servers that take ten minutes before they start their OS.
	// docker-machine itself would give up on SSH long before.
	bootTimeout = 25 * time.Minute
	// sightingLasts is how long GetState may answer with what GetURL saw.
	sightingLasts = time.Second
)

// sighting is what the pool and the BMC said of the machine, and when.
type sighting struct {
	state state.State
	err   error
	at    time.Time
}

// GetURL implements drivers.Driver. docker-machine takes a URL as proof that the
// machine runs, so there is none unless its power is on.
func (d *Driver) GetURL() (string, error) {
	s := d.look()
	d.mu.Lock()
	d.seen = &s
	d.mu.Unlock()
	switch {
	case s.err != nil:
		return "", s.err
	case s.state != state.Running:
		return "", drivers.ErrHostIsNotRunning
	}
	return d.url(), nil
}

// GetState implements drivers.Driver. `ls` asks for the state of a machine that
// has no URL at once; that is answered without asking the BMC again.
func (d *Driver) GetState() (state.State, error) {
	d.mu.Lock()
	seen := d.seen
	d.seen = nil
	d.mu.Unlock()
	if seen == nil || d.now().Sub(seen.at) > sightingLasts {
		s := d.look()
		seen = &s
	}
	return seen.state, seen.err
}

// look asks the pool and then the BMC.
func (d *Driver) look() sighting {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	m, err := d.machine(ctx)
	if err != nil {
		return sighting{state.Error, d.explain(err), d.now()}
	}
	power := core.PowerUnknown
	if m.State == core.Deployed {
		service, err := d.pool(ctx)
		if err == nil {
			power, err = service.Power(ctx, d.AllocationID)
		}
		if err != nil {
			return sighting{state.Error, d.explain(err), d.now()}
		}
	}
	s, err := machineState(m, power)
	return sighting{s, d.explain(err), d.now()}
}

// machineState is libmachine's word for a machine; power counts where it is
// deployed. An error says what Error stands for.
func machineState(m core.Machine, power core.PowerState) (state.State, error) {
	fault := func(kind core.Kind, why, hint string) (state.State, error) {
		if m.Reason != "" {
			why += ": " + m.Reason
		}
		return state.Error, &core.Error{Op: "look at", Allocation: m.Name, Node: m.Node, Kind: kind, Err: errors.New(why), Hint: hint}
	}
	switch m.State {
	case core.Waiting, core.Allocated, core.Deploying:
		return state.Starting, nil
	case core.Cleaning:
		return state.Stopping, nil
	case core.Failed:
		return fault(core.Backend, "its deploy failed", "'docker-machine rm "+m.Name+"' gives the server back")
	case core.Released, core.Expired:
		return fault(core.NotFound, "the pool has taken its server back", "'docker-machine rm "+m.Name+"' forgets the record")
	case core.Deployed:
	default:
		return fault(core.Backend, "it is "+string(m.State), "see 'metalpool machine show "+string(m.ID)+"'")
	}
	switch power {
	case core.PowerOn:
		return state.Running, nil
	case core.PowerOff:
		return state.Stopped, nil
	case core.PowerChanges:
		return state.Stopping, nil // libmachine has no word for either way
	}
	return fault(core.Backend, "its BMC does not say whether its power is on", "see 'metalpool node show "+string(m.Node)+"'")
}

// Start implements drivers.Driver. It waits for SSH itself, see bootTimeout.
func (d *Driver) Start() error {
	if err := d.setPower(core.TurnOn, powerTimeout); err != nil {
		return d.explain(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), bootTimeout)
	defer cancel()
	m, err := d.machine(ctx)
	if err != nil {
		return d.explain(err)
	}
	log.Infof("power is on; waiting for SSH at %s", m.Access.Address)
	return d.explain(core.AwaitSSH(ctx, m.Access))
}

// Stop implements drivers.Driver: the OS may end its work, but not take its time.
func (d *Driver) Stop() error { return d.explain(d.setPower(core.ShutDown, stopTimeout)) }

// Restart implements drivers.Driver. A reset by the BMC would not let the OS end
// its work.
func (d *Driver) Restart() error {
	if err := d.setPower(core.ShutDown, powerTimeout); err != nil {
		return d.explain(err)
	}
	return d.Start()
}

// Kill implements drivers.Driver.
func (d *Driver) Kill() error {
	return d.explain(d.setPower(core.TurnOff, powerTimeout))
}

// setPower gives the pool a limit by which it also ends its fallbacks.
func (d *Driver) setPower(verb core.PowerVerb, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	service, err := d.pool(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.seen = nil
	d.mu.Unlock()
	err = service.SetPower(ctx, d.AllocationID, verb)
	if err != nil && ctx.Err() != nil {
		return &core.Error{Op: "power " + string(verb), Allocation: d.MachineName, Kind: core.Timeout, Err: err, Hint: "ask again, or see what its BMC says"}
	}
	return err
}
