package core_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

func TestSetUpThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.rack.Server("n1").Settings(factory, enginetest.Drops("ProcVirtualization"))
		e, _ := p.engine()
		if _, err := e.SetUp(t.Context(), "n1", ""); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), `pool "default" has no profile`) {
			t.Errorf("got %v", err)
		}
		p.profile(baseline()...)
		if _, err := e.SetUp(t.Context(), "n1", ""); err != nil {
			t.Fatal(err)
		}
		n, err := e.AwaitRest(t.Context(), "n1", nil)
		if err != nil || n.State != core.Quarantined || !strings.Contains(n.Reason, "step virtualization: failed: it took the settings, but after the reset they are not applied") {
			t.Errorf("%s: %s, %v", n.State, n.Reason, err)
		}
		p.sound()
	})
}

// setUp has a node be set up, and waits for how that ends.
// setUp brings n1 to what its profile asks.
func (p *pool) setUp(e *core.Engine) core.Node {
	p.t.Helper()
	if _, err := e.SetUp(p.t.Context(), "n1", "drift"); err != nil {
		p.t.Fatalf("%v\n%s", err, p.story())
	}
	n, err := e.AwaitRest(p.t.Context(), "n1", nil)
	if err != nil {
		p.t.Fatalf("%v\n%s", err, p.story())
	}
	return n
}

// What a server will not have is no fault of it: nothing was changed, and it is Available
// as before.
func TestSetUpThatIsRefused(t *testing.T) {
	quarantines := func(s core.Step) core.Step { s.OnFailure = core.FailNode; return s }
	virtual := bios("virtual", core.BIOSAttributes{"ProcVirtualization": "Enabled"})
	for name, tt := range map[string]struct {
		manners []enginetest.Manner
		step    core.Step
		state   core.State
		says    string
		writes  int // besides those of the step that is fine
		starts  int
	}{
		"a name that there is not":         {nil, bios("bad", core.BIOSAttributes{"Nonsense": 1}), core.Available, `step bad: there is no attribute "Nonsense"`, -1, 0},
		"volumes of drives it has not got": {nil, core.Step{Name: "bad", RAID: &core.RAIDStep{Volumes: []core.RAIDVolume{{RAID: "RAID6", Count: 9}}}}, core.Available, "there are too few drives", -1, 0},
		"a drive that is preserved":        {nil, core.Step{Name: "bad", RAID: &core.RAIDStep{Volumes: []core.RAIDVolume{{RAID: "RAID1", Count: 2}}, Preserve: []string{"n1-a"}}}, core.Available, "a drive is preserved", -1, 0},
		"firmware that is too old":         {nil, core.Step{Name: "bad", Firmware: &core.FirmwareStep{Minimum: map[string]string{"BIOS": "3.0"}}}, core.Available, "the firmware of BIOS is 2.1", -1, 0},
		"the same, the node's own fault":   {nil, quarantines(core.Step{Name: "bad", Firmware: &core.FirmwareStep{Minimum: map[string]string{"BIOS": "3.0"}}}), core.Quarantined, "the firmware of BIOS is 2.1", -1, 0},
		"a value, by the BMC alone":        {[]enginetest.Manner{enginetest.Refuses("ProcVirtualization")}, virtual, core.Available, "step virtual: failed: answered 409 Conflict: not this ProcVirtualization", 0, 1},
		"a boot order, by the BMC alone":   {[]enginetest.Manner{enginetest.Refuses(enginetest.OrderOfBoot)}, core.Step{Name: "bad", BootOrder: &core.BootOrderStep{First: []string{"Pxe"}}}, core.Available, "not this boot order", 0, 1},
		"Secure Boot, by the BMC alone":    {[]enginetest.Manner{enginetest.Refuses(enginetest.SecureBootIs)}, core.Step{Name: "bad", SecureBoot: &core.SecureBootStep{}}, core.Available, "not this Secure Boot", 0, 1},
		"one that is taken and not so":     {[]enginetest.Manner{enginetest.Drops("ProcVirtualization")}, virtual, core.Quarantined, "they are not applied", 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				server := p.rack.Server("n1")
				server.Settings(factory, tt.manners...)
				before := server.Look().Starts
				p.profile(bios("fine", core.BIOSAttributes{"BootMode": "Legacy"}), tt.step)
				e, _ := p.engine()
				n := p.setUp(e)
				if n.State != tt.state || !strings.Contains(n.Reason, tt.says) || n.Erases != 1 {
					t.Errorf("%s after %d erases: %s\n%s", n.State, n.Erases, n.Reason, p.story())
				}
				if n.Refused() != (tt.state == core.Available) {
					t.Errorf("that it refused is told as %t: %s, %s", n.Refused(), n.State, n.Reason)
				}
				now := server.Look()
				if got := server.Writes() - 1; got != tt.writes || now.Power != core.PowerOff || now.Media != "" || now.Starts-before > tt.starts {
					t.Errorf("%d writes and %d starts, it is %s with %q\n%s", got, now.Starts-before, now.Power, now.Media, p.story())
				}
				if tt.state == core.Available {
					p.profile()
					if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
						t.Errorf("it cannot be had: %v", err)
					}
				}
				p.sound()
			})
		})
	}
}

// A node that could not be set up is tried again without an erase, and is Available once
// it could, or once nothing of it is wanted any more. One that a new try does not even
// begin with stays where it is, and so does what is Quarantined for another reason.
func TestSetUpOnceMore(t *testing.T) {
	bad := bios("virtual", core.BIOSAttributes{"ProcVirtualization": "Enabled"})
	for name, tt := range map[string]struct {
		steps []core.Step
		state core.State
		on    core.Trigger
	}{
		"with another value":                {[]core.Step{bios("virtual", core.BIOSAttributes{"ProcVirtualization": "Disabled"}), bios("mode", core.BIOSAttributes{"BootMode": "Legacy"})}, core.Available, core.Done},
		"without its step":                  {nil, core.Available, core.Done},
		"as before":                         {[]core.Step{bad}, core.Quarantined, core.GiveUp},
		"with what it has not got, as well": {[]core.Step{bad, bios("typo", core.BIOSAttributes{"Nonsense": 1})}, core.Quarantined, core.GiveUp},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				server := p.rack.Server("n1")
				server.Settings(factory, enginetest.Drops("ProcVirtualization"))
				p.profile(bad)
				e, _ := p.engine()
				if n := p.setUp(e); n.State != core.Quarantined {
					t.Fatalf("it is %s\n%s", n.State, p.story())
				}
				if d, err := e.Drift(t.Context(), "n1"); err != nil || !d.Again {
					t.Errorf("it may not be tried again: %+v, %v", d, err)
				}
				p.profile(tt.steps...)
				n := p.setUp(e)
				if n.State != tt.state || n.Erases != 1 || server.Look().Power != core.PowerOff {
					t.Errorf("%s after %d erases: %s\n%s", n.State, n.Erases, n.Reason, p.story())
				}
				events, err := e.Events(t.Context(), core.EventFilter{Node: "n1"})
				if last := events[len(events)-1]; err != nil || last.On != tt.on || last.From != core.Preparing {
					t.Errorf("it came there by %q, %v", last.On, err)
				}
				p.sound()
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		server := p.rack.Server("n1")
		server.Settings(factory)
		p.profile(bad)
		e, _ := p.engine()
		server.Fail(enginetest.Fault{Op: "erase", Err: enginetest.ErrBroken, Times: -1})
		if _, err := e.Pause(t.Context(), "n1", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Resume(t.Context(), "n1", ""); err != nil {
			t.Fatal(err)
		}
		if n, err := e.AwaitRest(t.Context(), "n1", nil); err != nil || n.State != core.Quarantined {
			t.Fatalf("it is %s, %v", n.State, err)
		}
		if d, err := e.Drift(t.Context(), "n1"); err != nil || d.Again {
			t.Errorf("one that could not be erased: %+v, %v", d, err)
		}
		if _, err := e.SetUp(t.Context(), "n1", ""); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "a node that is Quarantined cannot be set up; what can be done with it: 'metalpool node repair'") {
			t.Errorf("one that could not be erased: %v", err)
		}
	})
	// Nor is one in a store that was put back: it may have been given out since.
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.rack.Server("n1").Settings(factory, enginetest.Drops("ProcVirtualization"))
		p.profile(bad)
		e, _ := p.engine()
		if n := p.setUp(e); n.State != core.Quarantined {
			t.Fatalf("it is %s\n%s", n.State, p.story())
		}
		if _, err := e.Distrust(t.Context(), time.Now(), false); err != nil {
			t.Fatal(err)
		}
		if _, err := e.SetUp(t.Context(), "n1", ""); !core.Is(err, core.Invalid) || p.node("n1").State != core.Quarantined {
			t.Errorf("it is %s, %v", p.node("n1").State, err)
		}
	})
}

// A server that does not come back from the start that its settings need is kept out, and
// switched off; what was written is in force with the next start.
func TestSetUpOfAServerThatStaysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		server := p.rack.Server("n1")
		server.Settings(factory)
		p.profile(baseline()...)
		server.Fail(enginetest.Fault{Op: "fetch media", Err: enginetest.ErrBroken, Times: 20})
		e, _ := p.engine()
		n := p.setUp(e)
		if n.State != core.Quarantined || !strings.Contains(n.Reason, "boot ramdisk") || !strings.Contains(n.Reason, "'metalpool node drift n1 --repair' tries it again, without an erase") || server.Look().Power != core.PowerOff {
			t.Fatalf("it is %s: %s\n%s", n.State, n.Reason, p.story())
		}
		server.Heal()
		if n := p.setUp(e); n.State != core.Available || n.Erases != 1 {
			t.Errorf("it is %s: %s\n%s", n.State, n.Reason, p.story())
		}
		if d, err := e.Drift(t.Context(), "n1"); err != nil || len(d.Differs) > 0 {
			t.Errorf("it differs in %q, %v", drifted(d), err)
		}
		p.sound()
	})
}

// Whoever wants a machine while its node is set up waits for that where he waits, and is
// told that there is none where he does not.
func TestCreateDuringASetUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.rack.Server("n1").Settings(factory, enginetest.AppliesFor(3*time.Minute))
		p.profile(baseline()...)
		e, _ := p.engine()
		if _, err := e.SetUp(t.Context(), "n1", "drift"); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); !core.Is(err, core.NoCapacity) {
			t.Errorf("without waiting: %v", err)
		}
		done := make(chan core.Node)
		go func() { done <- p.setUpOn(e) }()
		o := order("a-2", "web-2")
		o.Wait = time.Hour
		m, err := e.Create(t.Context(), o, nil)
		if err != nil || m.Node != "n1" {
			t.Errorf("waiting: %+v, %v\n%s", m, err, p.story())
		}
		<-done
		if said := p.told("a-2", core.Note); count(said, "step virtualization: nothing to do: all is as wanted") != 1 {
			t.Errorf("it was deployed before it was set up: %q", said)
		}
		p.sound()
	})
}

// setUpOn waits for n1, which is being set up.
func (p *pool) setUpOn(e *core.Engine) core.Node {
	n, err := e.AwaitRest(p.t.Context(), "n1", nil)
	if err != nil {
		p.t.Error(err)
	}
	return n
}
