package core_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// drifted are the names of what differs, by whom it is wanted.
func drifted(d core.Drift) (names []string) {
	for _, one := range d.Differs {
		names = append(names, one.Of+": "+one.String())
	}
	return names
}

func TestDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		server := p.rack.Server("n1")
		server.Settings(factory)
		e, _ := p.engine()
		if d, err := e.Drift(t.Context(), "n1"); err != nil || len(d.Differs) > 0 || d.Profile != "" {
			t.Errorf("without a profile: %+v, %v", d, err)
		}
		steps := append(baseline()[:4], bios("typo", core.BIOSAttributes{"Nonsense": 1}))
		p.profile(steps...)
		d, err := e.Drift(t.Context(), "n1")
		want := []string{"virtualization: ProcVirtualization is Disabled, not Enabled", "order: boot order is Pxe, Hdd, not Hdd, Pxe", "insecure: Secure Boot is true, not false"}
		if err != nil || !slices.Equal(drifted(d), want) || d.Profile != "base" || d.State != core.Available {
			t.Errorf("it differs in %q, %+v, %v", drifted(d), d, err)
		}
		if len(d.Unknown) != 1 || d.Unknown[0].Of != "typo" || !strings.Contains(d.Unknown[0].Why, "Nonsense") {
			t.Errorf("unknown is %+v", d.Unknown)
		}
		p.profile(steps[:4]...)
		n, err := e.SetUp(t.Context(), "n1", "drift")
		if err != nil || n.State != core.Preparing {
			t.Fatal(n.State, err)
		}
		if _, err := e.Drift(t.Context(), "n1"); !core.Is(err, core.Busy) {
			t.Errorf("at work: %v", err)
		}
		if n, err := e.AwaitRest(t.Context(), "n1", nil); err != nil || n.State != core.Available || n.Erases != 1 {
			t.Fatalf("%s after %d erases: %v\n%s", n.State, n.Erases, err, p.story())
		}
		if d, err := e.Drift(t.Context(), "n1"); err != nil || len(d.Differs) > 0 {
			t.Errorf("it differs in %q, %v", drifted(d), err)
		}
		if now := server.Look(); !maps.Equal(now.BIOS, setUpAs) || now.Power != core.PowerOff || now.Media != "" {
			t.Errorf("the server is %+v", now)
		}
		// Where all is as wanted, it is not started.
		starts := server.Look().Starts
		if _, err := e.SetUp(t.Context(), "n1", ""); err != nil {
			t.Fatal(err)
		}
		if n, err := e.AwaitRest(t.Context(), "n1", nil); err != nil || n.State != core.Available {
			t.Fatal(n.State, err)
		}
		if server.Look().Starts != starts {
			t.Error("it was started for nothing")
		}
		server.Change(func(_ *core.Identity, h *core.Hardware) { h.Memory, h.Disks = 32*core.GiB, h.Disks[:1] })
		d, err = e.Drift(t.Context(), "n1")
		if want := []string{"inventory: disk n1-b is missing, not there", "inventory: memory is 32 GiB, not 64 GiB"}; err != nil || !slices.Equal(drifted(d), want) {
			t.Errorf("it differs in %q, %v", drifted(d), err)
		}
		p.sound()
	})
}

// A machine is compared with the profile that it was ordered with, and is not set up.
func TestDriftOfAMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.rack.Server("n1").Settings(factory)
		p.profile(baseline()...)
		e, _ := p.engine()
		if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
			t.Fatalf("%v\n%s", err, p.story())
		}
		if d, err := e.Drift(t.Context(), "n1"); err != nil || len(d.Differs) > 0 || d.State != core.Deployed {
			t.Errorf("%+v, %v", d, err)
		}
		if _, err := e.SetUp(t.Context(), "n1", ""); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "a node that is Deployed cannot be set up") {
			t.Errorf("got %v", err)
		}
		p.sound()
	})
}

// A node is compared with the steps that are for it, of the profile that its machine was
// ordered with; what its pool has otherwise is not its matter.
func TestDriftIsOfTheNodesOwnSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		for _, s := range p.rack.Servers() {
			s.Settings(factory)
		}
		e, _ := p.engine()
		others := bios("others", core.BIOSAttributes{"Nonsense": 1})
		others.Only = &core.StepServers{Labels: map[string]string{"rack": "r9"}}
		all, own := bios("all", core.BIOSAttributes{"ProcVirtualization": "Enabled"}), bios("own", core.BIOSAttributes{"BootMode": "Legacy"})
		base := "base"
		_, err := e.Apply(t.Context(), core.Declaration{
			By: core.DeclaredIn("test"), Steps: []core.Step{others, all, own},
			Profiles: []core.Profile{{Name: base, Steps: []string{"all", "others"}}, {Name: "legacy", Steps: []string{"own", "others"}}},
			Pools:    []core.PoolDeclaration{{Name: core.DefaultPool, Profile: &base, Profiles: []string{"legacy"}}},
		}, core.ApplyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		o := order("a-1", "web-1")
		o.Profile = "legacy"
		m, err := e.Create(t.Context(), o, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, p.story())
		}
		if d, err := e.Drift(t.Context(), m.Node); err != nil || d.Profile != "legacy" || len(d.Differs)+len(d.Unknown) > 0 {
			t.Errorf("the machine's: %+v, %v", d, err)
		}
		p.rack.Server(m.Node).Settings(factory)
		if d, err := e.Drift(t.Context(), m.Node); err != nil || !slices.Equal(drifted(d), []string{"own: BootMode is Uefi, not Legacy"}) {
			t.Errorf("the machine's, changed behind its back: %+v, %v", d, err)
		}
		free := core.NodeID("n1")
		if m.Node == free {
			free = "n2"
		}
		if d, err := e.Drift(t.Context(), free); err != nil || d.Profile != base || !slices.Equal(drifted(d), []string{"all: ProcVirtualization is Disabled, not Enabled"}) || len(d.Unknown) > 0 {
			t.Errorf("the other one's: %+v, %v", d, err)
		}
		p.sound()
	})
}

// A BMC that does not answer is told with its node.
func TestDriftOfANodeWhoseBMCIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		server := p.rack.Server("n1")
		server.Settings(factory)
		p.profile(baseline()...)
		e, _ := p.engine()
		server.Fail(enginetest.Fault{Op: "inspect", Err: enginetest.ErrUnreachable, Times: -1})
		if _, err := e.Drift(t.Context(), "n1"); !core.Is(err, core.Transient) || !strings.Contains(err.Error(), "(node n1)") {
			t.Errorf("got %v", err)
		}
	})
}

// setUpNode brings a node back, or waits for whoever does.
func setUpNode(e *core.Engine, p *pool) error {
	if p.node("n1").State == core.Available {
		if _, err := e.SetUp(p.t.Context(), "n1", ""); err != nil && !core.Is(err, core.Invalid, core.Busy) {
			return err
		}
	}
	n, err := e.AwaitRest(p.t.Context(), "n1", nil)
	if err != nil || n.State != core.Available {
		return fmt.Errorf("it is %s: %w", n.State, err)
	}
	if now := p.rack.Server("n1").Look(); !maps.Equal(now.BIOS, setUpAs) || len(now.Volumes) != 1 {
		return fmt.Errorf("it is Available, %v with %v", now.BIOS, now.Volumes)
	}
	return nil
}

// A program is told what a server has letter by letter, and people so that they see it.
func TestDifferencesAreSeen(t *testing.T) {
	for _, c := range []struct {
		d    core.Difference
		says string
	}{
		{core.Difference{Name: "OptionROMs", Wanted: "Keep Current", Found: "Force BIOS"}, "OptionROMs is Force BIOS, not Keep Current"},
		{core.Difference{Name: "AssetTag", Wanted: "r1 ", Found: ""}, `AssetTag is nothing, not "r1 "`},
		{core.Difference{Name: "AssetTag", Wanted: "", Found: "\x1b[2J"}, `AssetTag is "\x1b[2J", not ""`},
	} {
		if got := c.d.String(); got != c.says {
			t.Errorf("it says %s, want %s", got, c.says)
		}
		text, err := json.Marshal(c.d)
		var back core.Difference
		if err != nil || json.Unmarshal(text, &back) != nil || back != c.d {
			t.Errorf("%+v comes back as %s", c.d, text)
		}
	}
}
