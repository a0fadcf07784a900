package driver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/machine/libmachine/drivers"
	"github.com/docker/machine/libmachine/state"

	"github.com/metalpool/metalpool/core"
)

func TestMachineState(t *testing.T) {
	known := slices.Concat(core.NodeStates, []core.State{core.Waiting, core.Released, core.Expired})
	want := map[core.State]state.State{
		core.Waiting: state.Starting, core.Allocated: state.Starting, core.Deploying: state.Starting,
		core.Cleaning: state.Stopping, core.Failed: state.Error, core.Released: state.Error, core.Expired: state.Error,
		core.Quarantined: state.Error, core.Available: state.Error, core.Preparing: state.Error, core.Maintenance: state.Error,
	}
	for _, s := range known {
		for _, power := range []core.PowerState{core.PowerOn, core.PowerOff} {
			m := core.Machine{ID: "dm-1", Name: "web-1", Node: "n1", State: s, Reason: "so it is"}
			got, err := machineState(m, power)
			if s == core.Deployed {
				continue
			}
			if got != want[s] {
				t.Errorf("%s is %s, want %s", s, got, want[s])
			}
			if (got == state.Error) != (err != nil) {
				t.Errorf("%s is %s with the error %v", s, got, err)
			}
			if err != nil && !strings.Contains(err.Error(), "so it is") {
				t.Errorf("%s: %v does not tell the pool's reason", s, err)
			}
		}
	}
	for power, want := range map[core.PowerState]state.State{
		core.PowerOn: state.Running, core.PowerOff: state.Stopped, core.PowerChanges: state.Stopping, core.PowerUnknown: state.Error,
	} {
		got, err := machineState(core.Machine{State: core.Deployed}, power)
		if got != want || (got == state.Error) != (err != nil) {
			t.Errorf("Deployed with power %s is %s, %v; want %s", power, got, err, want)
		}
	}
}

func TestURLMeansRunning(t *testing.T) {
	for power, want := range map[core.PowerState]error{
		core.PowerOn: nil, core.PowerOff: drivers.ErrHostIsNotRunning, core.PowerChanges: drivers.ErrHostIsNotRunning,
	} {
		r := newRack()
		d := created(t, r, nil)
		r.power = power
		url, err := d.GetURL()
		if !errors.Is(err, want) || (url != "") != (want == nil) {
			t.Errorf("power %s: %q, %v", power, url, err)
		}
	}
	r := newRack()
	d := newMachine(t, r, nil)
	r.machines[d.AllocationID] = core.Machine{State: core.Deploying}
	if url, err := d.GetURL(); url != "" || !errors.Is(err, drivers.ErrHostIsNotRunning) {
		t.Errorf("while it is deployed: %q, %v", url, err)
	}
	if ip, err := d.GetIP(); ip != "" || !errors.Is(err, drivers.ErrHostIsNotRunning) {
		t.Errorf("while it is deployed: %q, %v", ip, err)
	}
	r.machines[d.AllocationID] = core.Machine{State: core.Released, Reason: "by an operator"}
	url, err := d.GetURL()
	wantText(t, err, "by an operator")
	if url != "" {
		t.Errorf("a released machine has the URL %q", url)
	}
}

// `ls` asks for the URL and, where there is none, for the state; its 10 s must do
// for a BMC that takes 5 s to fail.
func TestListingAsksTheBMCOnce(t *testing.T) {
	for name, fail := range map[string]error{"off": nil, "unreachable": &core.Error{Op: "read power", Kind: core.Transient, Err: errors.New("no route")}} {
		t.Run(name, func(t *testing.T) {
			r := newRack()
			d := created(t, r, nil)
			c := &clock{at: time.Unix(1e9, 0)}
			d.now = c.now
			r.power = core.PowerOff
			r.before["power"] = func(context.Context) error { return fail }
			_, urlErr := d.GetURL()
			s, err := d.GetState()
			if fail == nil && (!errors.Is(urlErr, drivers.ErrHostIsNotRunning) || s != state.Stopped || err != nil) {
				t.Errorf("URL %v; state %s, %v", urlErr, s, err)
			}
			if fail != nil && (urlErr == nil || s != state.Error || err == nil || err.Error() != urlErr.Error()) {
				t.Errorf("URL %v; state %s, %v", urlErr, s, err)
			}
			if n := r.count("power"); n != 1 {
				t.Errorf("the BMC was asked %d times", n)
			}
			// Who asks again wants to know what is now.
			r.power, r.before["power"] = core.PowerOn, nil
			if s, err := d.GetState(); s != state.Running || err != nil {
				t.Errorf("state %s, %v", s, err)
			}
		})
	}
}

func TestWhatGetURLSawGrowsOld(t *testing.T) {
	r := newRack()
	d := created(t, r, nil)
	c := &clock{at: time.Unix(1e9, 0)}
	d.now = c.now
	if _, err := d.GetURL(); err != nil {
		t.Fatal(err)
	}
	c.at = c.at.Add(2 * sightingLasts)
	r.power = core.PowerOff
	if s, err := d.GetState(); s != state.Stopped || err != nil {
		t.Errorf("state %s, %v", s, err)
	}
	if _, err := d.GetURL(); !errors.Is(err, drivers.ErrHostIsNotRunning) {
		t.Fatal(err)
	}
	if err := d.setPower(core.TurnOn, time.Minute); err != nil {
		t.Fatal(err)
	}
	if s, err := d.GetState(); s != state.Running || err != nil {
		t.Errorf("after it was turned on: %s, %v", s, err)
	}
}

func TestPowerQuestionsAreShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack()
		d := created(t, r, nil)
		r.before["power"] = block
		began := time.Now()
		if url, err := d.GetURL(); url != "" || err == nil {
			t.Errorf("got %q, %v", url, err)
		}
		if took := time.Since(began); took != askTimeout {
			t.Errorf("took %v", took)
		}
	})
}

func TestStop(t *testing.T) {
	r := newRack()
	d := created(t, r, nil)
	r.calls = nil
	if err := d.Stop(); err != nil || r.power != core.PowerOff {
		t.Errorf("power %s, %v", r.power, err)
	}
	if want := []string{"shutdown"}; !slices.Equal(r.calls, want) {
		t.Errorf("calls %v, want %v", r.calls, want)
	}
}

// GitLab Runner kills a stop after a minute, and then knows nothing.
func TestStopThatNothingAnswersEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRack()
		d := created(t, r, nil)
		for name, answer := range map[string]func(context.Context) error{
			"silence": block,
			"an error for the end of the time": func(ctx context.Context) error {
				<-ctx.Done()
				return &core.Error{Op: "power", Kind: core.Transient, Err: ctx.Err()}
			},
		} {
			r.before["shutdown"] = answer
			began := time.Now()
			err := d.Stop()
			wantText(t, err, "power shutdown web-1: timeout")
			if took := time.Since(began); took >= time.Minute {
				t.Errorf("%s: took %v", name, took)
			}
		}
	})
}

func TestKill(t *testing.T) {
	r := newRack()
	d := created(t, r, nil)
	r.calls = nil
	if err := d.Kill(); err != nil || r.power != core.PowerOff {
		t.Errorf("power %s, %v", r.power, err)
	}
	if want := []string{"off"}; !slices.Equal(r.calls, want) {
		t.Errorf("calls %v, want %v", r.calls, want)
	}
}

// docker-machine gives up on SSH long before a large server has booted.
func TestStartWaitsForSSH(t *testing.T) {
	r := newRack()
	greeted := listenSSH(t, &r.access)
	d := created(t, r, nil)
	r.power = core.PowerOff
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-greeted:
	default:
		t.Error("Start returned and nobody had asked SSH")
	}
	if s, err := d.GetState(); s != state.Running || err != nil {
		t.Errorf("state %s, %v", s, err)
	}
}

func TestRestartLetsTheOSEndItsWork(t *testing.T) {
	r := newRack()
	listenSSH(t, &r.access)
	d := created(t, r, nil)
	r.calls = nil
	if err := d.Restart(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"shutdown", "on", "machine"}; !slices.Equal(r.calls, want) {
		t.Errorf("calls %v, want %v", r.calls, want)
	}
	r.before["shutdown"] = fails(core.Transient)
	r.calls = nil
	if err := d.Restart(); err == nil || slices.Contains(r.calls, "on") {
		t.Errorf("error %v, calls %v", err, r.calls)
	}
}

func fails(kind core.Kind) func(context.Context) error {
	return func(context.Context) error { return &core.Error{Op: "power", Kind: kind, Err: errors.New("no")} }
}
