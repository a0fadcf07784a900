package core_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// factory is how servers of the tests are set up before anybody does.
var factory = map[string]string{"ProcVirtualization": "Disabled", "BootMode": "Uefi", "version": "2.1", enginetest.OrderOfBoot: "Pxe, Hdd", enginetest.SecureBootIs: "true"}

func bios(name string, attributes core.BIOSAttributes) core.Step {
	return core.Step{Name: name, BIOS: &core.BIOSStep{Attributes: attributes}}
}

// baseline are steps that differ in all from how a server comes.
func baseline() []core.Step {
	return []core.Step{
		bios("virtualization", core.BIOSAttributes{"ProcVirtualization": "Enabled"}),
		{Name: "order", BootOrder: &core.BootOrderStep{First: []string{"Hdd", "Pxe"}}},
		{Name: "insecure", SecureBoot: &core.SecureBootStep{}},
		{Name: "firmware", Firmware: &core.FirmwareStep{Minimum: map[string]string{"BIOS": "2.0"}}},
		{Name: "mirror", RAID: &core.RAIDStep{Volumes: []core.RAIDVolume{{Name: "system", RAID: "RAID1", Count: 2}}}},
	}
}

// setUpAs is how a server is once those are met.
var setUpAs = map[string]string{"ProcVirtualization": "Enabled", "BootMode": "Uefi", "version": "2.1", enginetest.OrderOfBoot: "Hdd, Pxe", enginetest.SecureBootIs: "false"}

// All that a profile sets shares the one start that a deploy makes anyway, and where all
// is as wanted nothing is written.
func TestSettingsShareOneStart(t *testing.T) {
	for name, manners := range map[string][]enginetest.Manner{"at once": nil, "volumes later": {enginetest.VolumesLater}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				server := p.rack.Server("n1")
				server.Settings(factory, manners...)
				p.profile(baseline()...)
				e, _ := p.engine()
				if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
					t.Fatalf("%v\n%s", err, p.story())
				}
				now := server.Look()
				if !maps.Equal(now.BIOS, setUpAs) || len(now.Volumes) != 1 {
					t.Errorf("the server is %v with %v\n%s", now.BIOS, now.Volumes, p.story())
				}
				if boots := p.told("a-1", core.StepMet); count(boots, "boot ramdisk: ") != 1 {
					t.Errorf("met are %q", boots)
				}
				if d := now.Disks["n1-V1"]; d.Image == "" {
					t.Errorf("the image is not on the volume: %v", now.Disks)
				}
				for _, s := range baseline() {
					if met := p.told("a-1", core.StepMet); count(met, "step "+s.Name+": ") != 1 {
						t.Errorf("%s is met %d times", s.Name, count(met, "step "+s.Name+": "))
					}
				}
				writes := server.Writes()
				if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
					t.Fatalf("%v\n%s", err, p.story())
				}
				if d := server.Look().Disks["n1-V1"]; d.Image != "" {
					t.Error("the volume was not erased")
				}
				if _, err := e.Create(t.Context(), order("a-2", "web-2"), nil); err != nil {
					t.Fatalf("%v\n%s", err, p.story())
				}
				if server.Writes() != writes {
					t.Error("what was as wanted was written again")
				}
				if said := p.told("a-2", core.Note); count(said, "step order: nothing to do: all is as wanted") != 1 {
					t.Errorf("it said %q", said)
				}
				p.sound()
			})
		})
	}
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

func TestSettingsThatTakeMoreStarts(t *testing.T) {
	after := func(s core.Step, before string) core.Step { s.After = []string{before}; return s }
	for name, tt := range map[string]struct {
		manners []enginetest.Manner
		steps   []core.Step
		boots   int
	}{
		"known only while it is on": {[]enginetest.Manner{enginetest.OnlyWhenOn}, baseline(), 2},
		"one at a time":             {[]enginetest.Manner{enginetest.OneAtATime}, baseline()[:3], 3},
		"one after another":         {nil, []core.Step{after(bios("b", core.BIOSAttributes{"ProcVirtualization": "Enabled"}), "a"), bios("a", core.BIOSAttributes{"BootMode": "Legacy"})}, 2},
		"after one that is so":      {nil, []core.Step{after(bios("b", core.BIOSAttributes{"ProcVirtualization": "Enabled"}), "a"), bios("a", core.BIOSAttributes{"BootMode": "Uefi"})}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				p.rack.Server("n1").Settings(factory, tt.manners...)
				p.profile(tt.steps...)
				e, _ := p.engine()
				if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
					t.Fatalf("%v\n%s", err, p.story())
				}
				if got := p.rack.Server("n1").Look().BIOS["ProcVirtualization"]; got != "Enabled" {
					t.Errorf("it is %s", got)
				}
				if boots := count(p.told("a-1", core.StepMet), "boot ramdisk: "); boots != tt.boots {
					t.Errorf("%d starts, not %d\n%s", boots, tt.boots, p.story())
				}
				p.sound()
			})
		})
	}
}

func TestSettingsThatFail(t *testing.T) {
	raid := func(preserve ...string) core.Step {
		return core.Step{Name: "raid", RAID: &core.RAIDStep{Volumes: []core.RAIDVolume{{RAID: "RAID1", Count: 2}}, Preserve: preserve}}
	}
	other := bios("fine", core.BIOSAttributes{"BootMode": "Legacy"})
	with := func(s core.Step, change func(s *core.Step)) core.Step { change(&s); return s }
	unknown, dropped := bios("bad", core.BIOSAttributes{"Nonsense": 1}), bios("bad", core.BIOSAttributes{"ProcVirtualization": "Enabled"})
	for name, tt := range map[string]struct {
		force   map[string]string
		manners []enginetest.Manner
		step    core.Step
		state   core.State
		says    string
		writes  int
	}{
		"an attribute that there is not":   {factory, nil, unknown, core.Failed, `(node n1): step bad: there is no attribute "Nonsense"`, 0},
		"the same without harm":            {factory, nil, with(unknown, func(s *core.Step) { s.OnFailure = core.FailNothing }), core.Deployed, "", 1},
		"a server that has no attributes":  {nil, nil, dropped, core.Failed, "this server's BMC has nothing of the kind", 0},
		"one that is taken and not so":     {factory, []enginetest.Manner{enginetest.Drops("ProcVirtualization")}, dropped, core.Failed, "after the reset they are not applied: ProcVirtualization is Disabled, not Enabled", 2},
		"the same tried again":             {factory, []enginetest.Manner{enginetest.Drops("ProcVirtualization")}, with(dropped, func(s *core.Step) { s.Retries = 2 }), core.Failed, "not applied", 4},
		"the same without end":             {factory, []enginetest.Manner{enginetest.Drops("ProcVirtualization")}, with(dropped, func(s *core.Step) { s.Retries = 50 }), core.Failed, "it is not in force after 5 starts of the server", 6},
		"a volume on a drive that is kept": {factory, nil, raid("n1-b"), core.Failed, "a drive is preserved; want other drives; ", 0},
		"firmware that is too old":         {factory, nil, core.Step{Name: "fw", Firmware: &core.FirmwareStep{Minimum: map[string]string{"BIOS": "3.0"}}}, core.Failed, "the firmware of BIOS is 2.1, not at least 3.0", 0},
		"one that is for other servers":    {factory, nil, with(unknown, func(s *core.Step) { s.Only = &core.StepServers{Manufacturer: "Dell*"} }), core.Deployed, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				server := p.rack.Server("n1")
				server.Settings(tt.force, tt.manners...)
				steps := []core.Step{other, tt.step}
				if tt.force == nil {
					steps = steps[1:]
				}
				p.profile(steps...)
				e, _ := p.engine()
				_, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
				if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
					t.Errorf("it says %v", err)
				}
				if got := p.machine("a-1").State; got != tt.state {
					t.Errorf("the machine is %s\n%s", got, p.story())
				}
				if got := server.Writes(); got != tt.writes {
					t.Errorf("%d writes, not %d\n%s", got, tt.writes, p.story())
				}
				p.sound()
			})
		})
	}
}

// Volumes are not changed under a machine that was in use: its other disks are its owner's.
func TestVolumesOfAMachineInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		server := p.rack.Server("n1")
		server.Settings(factory)
		e, _ := p.engine()
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
			t.Fatal(err)
		}
		p.profile(baseline()...)
		o := order("a-1", "web-1")
		o.Revision = "2"
		_, err := e.Deploy(t.Context(), o, nil)
		if err == nil || !strings.Contains(err.Error(), "would destroy what the machine has on its disks: release it, and create another one") {
			t.Errorf("got %v", err)
		}
		if len(server.Look().Volumes) > 0 || server.Writes() > 0 {
			t.Errorf("the server is %+v\n%s", server.Look(), p.story())
		}
	})
}

// A volume that is gone is missed, and a drive behind one is not.
func TestVolumesThatVanish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		server := p.rack.Server("n1")
		server.Settings(factory)
		p.profile(baseline()...)
		e, _ := p.engine()
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
			t.Fatalf("%v\n%s", err, p.story())
		}
		if raid := p.node("n1").Spec.RAID; raid == nil || len(raid.Volumes) != 1 || !slices.Equal(raid.Volumes[0].Drives, []string{"n1-a", "n1-b"}) {
			t.Errorf("the node has %+v", raid)
		}
		// Its owner's RAID tool hides it from the OS; the BMC knows no better.
		server.Fail(enginetest.Fault{Op: "volume vanishes", Err: enginetest.ErrBroken, Times: -1})
		if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
			t.Log(err)
		}
		if n := p.node("n1"); n.State != core.Quarantined || !strings.Contains(n.Reason, "the agent saw no disk") {
			t.Errorf("the node is %s: %s", n.State, n.Reason)
		}
		p.sound()
	})
}

// Firmware that starts twice to put settings into force has forgotten by then that it was
// to start the media: it is told once more.
func TestStartThatSettingsTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		server := p.rack.Server("n1")
		server.Settings(factory)
		server.Fail(enginetest.Fault{Op: "fetch media", Err: enginetest.ErrBroken, Times: 1})
		p.profile(baseline()...)
		e, _ := p.engine()
		o := order("a-1", "web-1")
		o.DeployTimeout = 4 * time.Hour
		if _, err := e.Create(t.Context(), o, nil); err != nil {
			t.Fatalf("%v\n%s", err, p.story())
		}
		p.sound()
	})
}

// A BMC that falls silent while its server is set up is the node's matter: another one is
// taken long before all that the settings might take is over.
func TestBMCThatFallsSilentInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		var victim core.NodeID
		for _, s := range p.rack.Servers() {
			s.Settings(factory)
			s.Fail(enginetest.Fault{Op: "set BIOS", Err: enginetest.ErrUnreachable, Times: -1, Unless: func(*enginetest.Rack) bool {
				if victim == "" {
					victim = s.ID
				}
				return victim != s.ID
			}})
		}
		p.profile(baseline()...)
		e, _ := p.engine()
		began := time.Now()
		m, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if err != nil || m.Node == victim {
			t.Fatalf("it is on %s, and %s was silent: %v\n%s", m.Node, victim, err, p.story())
		}
		limits := core.Timeouts{}.OrDefaults()
		if took := time.Since(began); took > 2*limits.Power+limits.CheckIn+limits.Power {
			t.Errorf("it took %s", took)
		}
		p.sound()
	})
}

// Whoever waits minutes for a server's firmware is told what for, and so is everybody else.
func TestWaitForSettingsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.rack.Server("n1").Settings(factory, enginetest.AppliesFor(3*time.Minute))
		p.profile(baseline()...)
		e, _ := p.engine()
		var said []string
		report := func(at core.Progress) { said = append(said, at.Step+": "+at.Message) }
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), report); err != nil {
			t.Fatalf("%v\n%s", err, p.story())
		}
		const what = "UTC: not done yet: its job 1, for ProcVirtualization"
		for who, told := range map[string][]string{"the caller": said, "the events": p.told("a-1", core.StepWaits)} {
			n := 0
			for _, text := range told {
				if strings.HasPrefix(text, "step virtualization: since ") && strings.HasSuffix(text, what) {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%s: %d times in %q", who, n, told)
			}
		}
	})
}

// createWithSettings has the server be as all steps say where the deploy comes to its end.
func createWithSettings(e *core.Engine, p *pool) error {
	m, err := e.Create(p.t.Context(), order("a-1", "web-1"), nil)
	if core.Is(err, core.Exists) && p.machine("a-1").State.Ended() {
		return nil // it was released before the crash
	}
	if err != nil || m.State != core.Deployed {
		return err
	}
	if now := p.rack.Server("n1").Look(); !maps.Equal(now.BIOS, setUpAs) || len(now.Volumes) != 1 {
		return fmt.Errorf("the machine is deployed, and its server is %v with %v", now.BIOS, now.Volumes)
	}
	return nil
}
