package lab_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/bmc"
)

// setup is what the vendors' servers are set to, each in its maker's words.
var setups = map[string]struct {
	attributes core.BIOSAttributes
	order      []string
	raid       bool // its controllers make volumes
}{
	"openbmc":        {core.BIOSAttributes{"HyperThreading": "Disabled", "QuietBoot": false}, nil, false},
	"idrac9":         {core.BIOSAttributes{"ProcVirtualization": "Disabled"}, nil, true},
	"idrac10":        {core.BIOSAttributes{"ProcVirtualization": "Disabled"}, nil, true},
	"ilo5":           {core.BIOSAttributes{"ProcHyperthreading": "Disabled"}, nil, false},
	"ilo6":           {core.BIOSAttributes{"ProcHyperthreading": "Disabled"}, nil, true},
	"supermicro-x12": {core.BIOSAttributes{"QuietBoot_0027": false}, nil, true},
	"xcc":            {core.BIOSAttributes{"Processors_HyperThreading": "Disable"}, nil, true},
	"ami":            {core.BIOSAttributes{"HyperThreading": "Disabled"}, nil, false},
}

// A profile is in force on the servers of every vendor, after a deploy that began with
// none of it, and a second one writes nothing.
func TestSettingsOfEveryVendor(t *testing.T) {
	for vendor, want := range setups {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			l := up(t, lab.Config{Nodes: 2, Vendors: []string{vendor}})
			p := newPool(t, l)
			key := newKey(t)
			steps := []core.Step{
				{Name: "bios", BIOS: &core.BIOSStep{Attributes: want.attributes}},
				{Name: "firmware", Firmware: &core.FirmwareStep{Minimum: map[string]string{"BIOS": "0.1"}}},
				{Name: "insecure", SecureBoot: &core.SecureBootStep{}},
			}
			if want.raid {
				steps = append(steps, core.Step{Name: "mirror", RAID: &core.RAIDStep{Volumes: []core.RAIDVolume{{Name: "system", RAID: "RAID1", Count: 2}}}})
			}
			p.declare(steps...)
			o := order("m-1", key)
			o.Request.Node = l.Nodes()[1].ID() // has two drives of a kind
			m, err := p.Create(t.Context(), o, nil)
			try(t, err)
			p.asWanted(m.Node)
			if n, err := p.Node(t.Context(), m.Node); err != nil || want.raid != (n.Spec.RAID != nil && len(n.Spec.RAID.Volumes) == 1) {
				t.Errorf("it has the volumes %+v, %v", n.Spec.RAID, err)
			}
			try(t, p.Release(t.Context(), m.ID, core.ReleaseOptions{WaitClean: true}, nil))
			if n, err := p.Node(t.Context(), m.Node); err != nil || n.State != core.Available {
				t.Fatalf("it is %s: %s, %v", n.State, n.Reason, err)
			}
			o = order("m-2", key)
			o.Request.Node = m.Node
			m, err = p.Create(t.Context(), o, nil)
			try(t, err)
			events, err := p.Events(t.Context(), core.EventFilter{Allocation: m.ID})
			try(t, err)
			idle := 0
			for _, ev := range events {
				if ev.Message == "nothing to do: all is as wanted" {
					idle++
				}
			}
			if idle != len(steps) {
				t.Errorf("%d of %d steps had nothing to do", idle, len(steps))
			}
		})
	}
}

// The example of docs/steps.md is in force on the servers that it is for, and a node that
// drifts from it is brought back.
func TestSettingsOfTheDocumentation(t *testing.T) {
	l := up(t, lab.Config{Nodes: 2, Vendors: []string{"idrac9"}})
	p := newPool(t, l)
	text, err := os.ReadFile("../docs/steps.md")
	try(t, err)
	_, section, _ := strings.Cut(string(text), "## What the server itself is set to")
	_, section, _ = strings.Cut(section, "```yaml\n")
	example, _, _ := strings.Cut(section, "```")
	rack, err := rackfile.Read("steps.md", strings.NewReader(example))
	try(t, err)
	_, err = p.Apply(t.Context(), rack.Declaration, core.ApplyOptions{})
	try(t, err)
	node := l.Nodes()[1].ID() // has two drives of a kind
	before, err := p.Drift(t.Context(), node)
	if err != nil || len(before.Differs) != 3 {
		t.Fatalf("%+v, %v", before, err)
	}
	_, err = p.SetUp(t.Context(), node, "drift")
	try(t, err)
	if n, err := p.AwaitRest(t.Context(), node, nil); err != nil || n.State != core.Available {
		t.Fatalf("%s: %s, %v", n.State, n.Reason, err)
	}
	p.asWanted(node)
	o := order("m-1", newKey(t))
	o.Request.Node = node
	_, err = p.Create(t.Context(), o, nil)
	try(t, err)
}

// What a vendor's BMC does not take, or takes and does not do, says so.
func TestSettingsThatAreRefused(t *testing.T) {
	l := up(t, lab.Config{Nodes: 2, Vendors: []string{"ilo6"}})
	p := newPool(t, l)
	node := l.Nodes()[1]
	mirror := core.RAIDVolume{RAID: "RAID1", Count: 2}
	for i, tt := range []struct {
		step core.Step
		drop bool
		says string
	}{
		{core.Step{Name: "typo", BIOS: &core.BIOSStep{Attributes: core.BIOSAttributes{"ProcVirtualisation": "Disabled"}}}, false, "is ProcVirtualization meant?"},
		{core.Step{Name: "value", BIOS: &core.BIOSStep{Attributes: core.BIOSAttributes{"ProcVirtualization": "Perhaps"}}}, false, "ProcVirtualization"},
		{core.Step{Name: "lost", BIOS: &core.BIOSStep{Attributes: core.BIOSAttributes{"ProcVirtualization": "Disabled"}}}, true, "after the reset they are not applied: ProcVirtualization is Enabled, not Disabled"},
		{core.Step{Name: "kept", RAID: &core.RAIDStep{Volumes: []core.RAIDVolume{mirror}, Preserve: []string{node.Disks()[0].Serial}}}, false, "preserved"},
	} {
		p.declare(tt.step)
		if tt.drop {
			_, err := node.BMC().Faults().Add(bmc.Fault{On: bmc.SetBIOS, Kind: bmc.Drop})
			try(t, err)
		}
		o := order(fmt.Sprintf("m-%d", i), newKey(t))
		o.Request.Node = node.ID()
		_, err := p.Create(t.Context(), o, nil)
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "step "+tt.step.Name) {
			t.Errorf("%s: got %v", tt.step.Name, err)
		}
		if volumes := node.BMC().Volumes(); len(volumes) > 0 {
			t.Errorf("%s: made %v", tt.step.Name, volumes)
		}
		try(t, p.Release(t.Context(), o.ID, core.ReleaseOptions{WaitClean: true}, nil))
	}
}

// declare has the default pool do steps.
func (p *pool) declare(steps ...core.Step) {
	p.t.Helper()
	choice := core.Profile{Name: "base"}
	for _, s := range steps {
		choice.Steps = append(choice.Steps, s.Name)
	}
	_, err := p.Apply(p.t.Context(), core.Declaration{
		By: core.DeclaredIn("test"), Steps: steps, Profiles: []core.Profile{choice}, Pools: []core.PoolDeclaration{{Name: core.DefaultPool, Profile: new("base")}},
	}, core.ApplyOptions{})
	try(p.t, err)
}

// asWanted looks whether a node has drifted.
func (p *pool) asWanted(id core.NodeID) {
	p.t.Helper()
	d, err := p.Drift(p.t.Context(), id)
	if err != nil || len(d.Differs)+len(d.Unknown) > 0 {
		p.t.Errorf("%s: %+v, %v", id, d, err)
	}
}
