package core_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
)

// declared applies what a file of that name says, and wants it to change so much.
func (p *pool) declared(file string, d core.Declaration, o core.ApplyOptions, want ...string) {
	p.t.Helper()
	d.By = core.DeclaredIn(file)
	e, _ := p.engine()
	changes, err := e.Apply(p.t.Context(), d, o)
	if err != nil {
		p.t.Fatal(err)
	}
	var got []string
	for _, c := range changes {
		if c.Change != core.Unchanged {
			got = append(got, strings.TrimSpace(c.Kind+" "+c.Name+" "+string(c.Change)+" "+strings.Join(c.Fields, "; ")))
		}
	}
	if !slices.Equal(got, want) {
		p.t.Errorf("%s changes %q, want %q", file, got, want)
	}
}

// refused wants all of a declaration refused, and nothing changed.
func (p *pool) refused(what string, d core.Declaration, o core.ApplyOptions, kind core.Kind, says string) {
	p.t.Helper()
	e, _ := p.engine()
	before := p.all()
	_, err := e.Apply(p.t.Context(), d, o)
	if !core.Is(err, kind) || !strings.Contains(err.Error(), says) {
		p.t.Errorf("%s: %v; want %q", what, err, says)
	}
	if after := p.all(); !reflect.DeepEqual(before, after) {
		p.t.Errorf("%s was refused, and changed\n%+v to\n%+v", what, before, after)
	}
}

// all is what is declared of every kind.
func (p *pool) all() (all []any) {
	p.t.Helper()
	err := p.store.View(p.t.Context(), func(tx core.Tx) error {
		all = nil
		for image, err := range tx.Images() {
			all = append(all, image, err)
		}
		for step, err := range tx.Steps() {
			all = append(all, step, err)
		}
		for profile, err := range tx.Profiles() {
			all = append(all, profile, err)
		}
		for policy, err := range tx.Pools() {
			all = append(all, policy, err)
		}
		for node, err := range tx.Nodes(core.NodeFilter{}) {
			all = append(all, node.ID, node.Pool, node.Spec, err)
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

// A pool's profile does not flip between two files.
func TestTwoFilesOfOnePool(t *testing.T) {
	p := newPool(t, 0)
	e, _ := p.engine()
	first := core.Declaration{
		Steps:    []core.Step{script("a", "true"), script("b", "true")},
		Profiles: []core.Profile{{Name: "one", Steps: []string{"a"}}, {Name: "two", Steps: []string{"b"}}},
		Pools:    []core.PoolDeclaration{{Name: core.DefaultPool, Profile: new("one")}},
	}
	p.declared("first.yaml", first, core.ApplyOptions{}, "step a added", "step b added", "profile one added", "profile two added",
		`pool default changed declared_by: nobody → file:first.yaml; profile: none → "one"`)
	p.declared("first.yaml", first, core.ApplyOptions{})
	same := core.Declaration{Pools: first.Pools, Steps: first.Steps}
	p.declared("same.yaml", same, core.ApplyOptions{})

	second := core.Declaration{
		By: core.DeclaredIn("second.yaml"), Steps: []core.Step{script("a", "false"), script("c", "true")},
		Pools: []core.PoolDeclaration{{Name: core.DefaultPool, Profile: new("two")}},
	}
	p.refused("another file", second, core.ApplyOptions{}, core.Exists,
		"step a is declared by file:first.yaml, pool default is declared by file:first.yaml; change them there, or take them over with --take-over")
	// A look refuses nothing, and tells whose it is.
	changes, err := e.Apply(t.Context(), second, core.ApplyOptions{DryRun: true})
	if err != nil || len(changes) != 3 || changes[0].From != "file:first.yaml" || changes[1].From != "" || changes[2].From != "file:first.yaml" {
		t.Errorf("a look finds %+v, %v", changes, err)
	}
	quota := core.Pool{Name: core.DefaultPool, Profile: "one", Quota: 3}
	for _, by := range []core.Declarer{"", core.DeclaredOnCommandLine, core.DeclaredInTerraform} {
		quota.DeclaredBy = by
		if err := e.SetPool(t.Context(), quota); !core.Is(err, core.Exists) || !strings.Contains(err.Error(), "it is declared by file:first.yaml") {
			t.Errorf("by %q: %v", by, err)
		}
		err := e.RemovePool(t.Context(), core.DefaultPool, by, false)
		if !core.Is(err, core.Exists) || strings.Contains(err.Error(), "--as terraform") != (by == core.DeclaredInTerraform) {
			t.Errorf("removed by %q: %v", by, err)
		}
	}
	p.declared("second.yaml", second, core.ApplyOptions{TakeOver: true}, `step a changed declared_by: file:first.yaml → file:second.yaml; script.run: "true" → "false"`, "step c added",
		`pool default changed declared_by: file:first.yaml → file:second.yaml; profile: "one" → "two"`)
	first.By = core.DeclaredIn("first.yaml")
	p.refused("the file before", first, core.ApplyOptions{}, core.Exists, "pool default is declared by file:second.yaml")

	// What a file does not name any more stays, unless that is to be gone; others' stays anyway.
	less := core.Declaration{Steps: second.Steps[:1]}
	p.declared("second.yaml", less, core.ApplyOptions{})
	less.By = core.DeclaredIn("second.yaml")
	p.declared("second.yaml", less, core.ApplyOptions{Prune: true}, "step c removed")
	p.declared("first.yaml", core.Declaration{Profiles: first.Profiles[1:], Steps: first.Steps[1:]}, core.ApplyOptions{Prune: true}, "profile one removed")
	p.refused("what a pool needs", core.Declaration{By: core.DeclaredIn("first.yaml")}, core.ApplyOptions{Prune: true}, core.Busy, "remove profile two: busy: pool default has it")
}

// Of a pool that is left out what the file does not say, and an image is read once.
func TestApplyLeavesWhatIsNotSaid(t *testing.T) {
	p := newPool(t, 0)
	e, _ := p.engine()
	debian := core.ImageDeclaration{Name: "next", Source: "/next.img", User: "debian"}
	d := core.Declaration{Images: []core.ImageDeclaration{debian}, Pools: []core.PoolDeclaration{{Name: "gold", DefaultImage: new("next"), Quota: new(3)}}}
	p.declared("rack.yaml", d, core.ApplyOptions{DryRun: true}, "image next added", "pool gold added")
	if all, err := e.Images(t.Context()); err != nil || len(all) != 1 {
		t.Fatalf("a look has added to %+v, %v", all, err)
	}
	p.declared("rack.yaml", d, core.ApplyOptions{}, "image next added", "pool gold added")
	p.declared("rack.yaml", d, core.ApplyOptions{})
	added, err := e.Image(t.Context(), "next")
	if err != nil || added.SHA256 == "" || added.Arch != "amd64" || added.AddedAt.IsZero() || added.DeclaredBy != "file:rack.yaml" {
		t.Errorf("the image is %+v, %v", added, err)
	}
	p.declared("rack.yaml", core.Declaration{Pools: []core.PoolDeclaration{{Name: "gold", Quota: new(0)}}}, core.ApplyOptions{}, "pool gold changed quota: 3 → none")
	if gold, err := e.Pool(t.Context(), "gold"); err != nil || gold.DefaultImage != "next" || gold.Quota != 0 {
		t.Errorf("the pool is %+v, %v", gold, err)
	}
	p.declared("rack.yaml", core.Declaration{Images: []core.ImageDeclaration{{Name: "next", Boot: core.Reboot}}}, core.ApplyOptions{}, `image next changed boot: none → "reboot"`)
	by := core.DeclaredIn("rack.yaml")
	for what, refused := range map[string]struct {
		d    core.Declaration
		kind core.Kind
		says string
	}{
		"other content":  {core.Declaration{By: by, Images: []core.ImageDeclaration{{Name: "next", SHA256: strings.Repeat("0", 64)}}}, core.Exists, "choose another name"},
		"no source":      {core.Declaration{By: by, Images: []core.ImageDeclaration{{Name: "none", User: "root"}}}, core.Invalid, "it is not said where it is"},
		"no user":        {core.Declaration{By: by, Images: []core.ImageDeclaration{{Name: "none", Source: "/x"}}}, core.Invalid, "it is not said who logs in"},
		"no such image":  {core.Declaration{By: by, Pools: []core.PoolDeclaration{{Name: "web", DefaultImage: new("nosuch")}}}, core.NotFound, "no such image"},
		"a bad policy":   {core.Declaration{By: by, Pools: []core.PoolDeclaration{{Name: "web"}, {Name: "gold", Quota: new(-1)}}}, core.Invalid, "the quota is negative"},
		"twice the same": {core.Declaration{By: by, Images: []core.ImageDeclaration{debian, debian}}, core.Invalid, "declared twice"},
		"no declarer":    {core.Declaration{}, core.Invalid, "it is not said who declares it"},
		"a long one":     {core.Declaration{By: core.Declarer(strings.Repeat("x", 1025))}, core.Invalid, "a name of 1025 bytes, which may be 1024"},
		"no BMC":         {core.Declaration{By: by, Nodes: []core.NodeDeclaration{{ID: "n9", URL: "hunter2"}}}, core.Invalid, "that is not the address of a BMC"},
		"no such pool":   {core.Declaration{By: by, Nodes: []core.NodeDeclaration{{ID: "n9", URL: "https://10.0.0.9", Pool: new("god")}}}, core.NotFound, "no such pool"},
	} {
		p.refused(what, refused.d, core.ApplyOptions{}, refused.kind, refused.says)
	}
}

// A node is declared as it is enrolled; its password is compared, and never told.
func TestApplyToNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 2)
		e, _ := p.engine()
		url := func(id core.NodeID) string { return p.rack.Server(id).BMC() }
		network := core.Network{Ports: []string{"02:00:00:00:00:01"}}
		d := core.Declaration{Nodes: []core.NodeDeclaration{
			{ID: "n1", URL: url("n1"), Password: new("calvin"), Labels: map[string]string{"rack": "r1"}, Network: &network},
			{URL: url("n2"), SSHPort: new(2222)},
			{ID: "n9", URL: "https://10.0.0.9"},
		}}
		p.declared("rack.yaml", d, core.ApplyOptions{}, `node n1 changed declared_by: nobody → file:rack.yaml; labels.rack: none → "r1"; network.ports: none → ["02:00:00:00:00:01"]`,
			"node n2 changed declared_by: nobody → file:rack.yaml; ssh_port: none → 2222", "node n9 to enroll")
		p.declared("rack.yaml", d, core.ApplyOptions{}, "node n9 to enroll")

		label := "r2"
		change := core.NodeChange{Labels: map[string]*string{"rack": &label}, By: core.DeclaredOnCommandLine}
		if _, err := e.SetNode(t.Context(), "n1", change); !core.Is(err, core.Exists) || !strings.Contains(err.Error(), "change node n1: it is declared by file:rack.yaml") {
			t.Errorf("a command: %v", err)
		}
		n, err := e.Node(t.Context(), "n1")
		if err != nil || n.Spec.Labels["rack"] != "r1" {
			t.Errorf("the node is %+v, %v", n.Spec, err)
		}

		// Another password is told of, and not which; what is left out stays.
		p.declared("rack.yaml", core.Declaration{Nodes: []core.NodeDeclaration{{ID: "n1", URL: url("n1"), Password: new("hunter2"), Labels: map[string]string{}}}}, core.ApplyOptions{},
			`node n1 changed labels.rack: "r1" → none; password`)
		if n, err = e.Node(t.Context(), "n1"); err != nil || n.Spec.Network == nil || len(n.Spec.Labels) > 0 {
			t.Errorf("the node is %+v, %v", n.Spec, err)
		}
		p.declared("rack.yaml", core.Declaration{Nodes: []core.NodeDeclaration{{ID: "n1", URL: url("n1"), Password: new("env:BMC"), Network: &core.Network{}}}}, core.ApplyOptions{},
			`node n1 changed network.ports: ["02:00:00:00:00:01"] → none; password`)

		// From afar nobody has the password sent elsewhere, wherever it is found.
		for what, password := range map[string]*string{"none": nil, "the reference that is kept": new("env:BMC")} {
			moved := core.Declaration{By: core.DeclaredIn("rack.yaml"), Nodes: []core.NodeDeclaration{{ID: "n1", URL: "https://192.0.2.66", Password: password}}}
			if _, err := e.Apply(core.AskedFromAfar(t.Context()), moved, core.ApplyOptions{}); !core.Is(err, core.Denied) {
				t.Errorf("another address with %s: %v", what, err)
			}
		}
	})
}

// A pool that may be a slip of the pen is told of; its name may be meant.
func TestANewPoolLikeAnother(t *testing.T) {
	p := newPool(t, 0)
	e, _ := p.engine()
	apply := func(name string) []core.Remark {
		t.Helper()
		changes, err := e.Apply(t.Context(), core.Declaration{By: "command line", Pools: []core.PoolDeclaration{{Name: name, Quota: new(3)}}}, core.ApplyOptions{})
		if err != nil || len(changes) != 1 {
			t.Fatal(changes, err)
		}
		return changes[0].Warnings
	}
	for _, name := range []string{"web-1", "web-2", "gold"} {
		if told := apply(name); len(told) > 0 {
			t.Errorf("of %s it warns %+v", name, told)
		}
	}
	if told := apply("defualt"); len(told) != 1 || !slices.Equal(told[0].Path, []string{"name"}) || told[0].Text != "this is a new pool, without nodes; did you mean default?" {
		t.Errorf("it warns %+v", told)
	}
	if told := apply("defualt"); len(told) > 0 {
		t.Errorf("once it is there it warns %+v", told)
	}
}

// A step that is for servers of a label which no node has, and none is to have, is told of:
// it would be done to nobody.
func TestAStepForNobody(t *testing.T) {
	p := newPool(t, 2)
	e, _ := p.engine()
	for i, labels := range []map[string]string{{"rack": "r1", "role": "web"}, {"rack": "r2"}} {
		change := core.NodeChange{Labels: map[string]*string{}}
		for name, value := range labels {
			change.Labels[name] = &value
		}
		if _, err := e.SetNode(t.Context(), core.NodeID(fmt.Sprintf("n%d", i+1)), change); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		only map[string]string
		says string
		at   string
	}{
		{only: map[string]string{"rack": "r1"}},
		{only: map[string]string{"rack": "r1", "role": "web"}},
		{only: map[string]string{"zone": "a"}},
		{only: map[string]string{"rakc": "r1"}, at: "only labels rakc", says: "no node has this label, so that the step is for none; did you mean rack?"},
		{only: map[string]string{"rack": "rx1"}, at: "only labels rack", says: `on no node is it "rx1", so that the step is for none; did you mean r1?`},
		{only: map[string]string{"rack": "r2", "role": "web"}, at: "only labels", says: "no node has all of them, so that the step is for none"},
	} {
		d := core.Declaration{
			By:    "command line",
			Steps: []core.Step{{Name: "s", Script: &core.ScriptStep{Run: "true"}, Only: &core.StepServers{Labels: c.only}}},
			Nodes: []core.NodeDeclaration{{ID: "n9", URL: "https://192.0.2.9", Labels: map[string]string{"zone": "a"}}},
			// so that there is nothing else to warn of
			Profiles: []core.Profile{{Name: "base", Steps: []string{"s"}}}, Pools: []core.PoolDeclaration{{Name: "default", Profile: new("base")}},
		}
		for _, dry := range []bool{true, false} {
			changes, err := e.Apply(t.Context(), d, core.ApplyOptions{DryRun: dry})
			if err != nil || len(changes) != 4 {
				t.Fatal(changes, err)
			}
			var says, at string
			for _, w := range changes[0].Warnings {
				says, at = says+w.Text, at+strings.Join(w.Path, " ")
			}
			if says != c.says || at != c.at {
				t.Errorf("of %v it warns %q at %q, want %q at %q", c.only, says, at, c.says, c.at)
			}
		}
	}
	bare, _ := newPool(t, 0).engine()
	changes, err := bare.Apply(t.Context(), core.Declaration{
		By:       "command line",
		Steps:    []core.Step{{Name: "s", Script: &core.ScriptStep{Run: "true"}, Only: &core.StepServers{Labels: map[string]string{"rack": "r1"}}}},
		Profiles: []core.Profile{{Name: "base", Steps: []string{"s"}}}, Pools: []core.PoolDeclaration{{Name: "default", Profile: new("base")}},
	}, core.ApplyOptions{})
	if err != nil || len(changes[0].Warnings) > 0 {
		t.Errorf("before there are nodes it tells %+v, %v", changes, err)
	}
}

// While an image is read, which may take long, others may go on; and its address is kept as
// it was written, so that it is found to be the same the next time.
func TestAnImageThatIsRead(t *testing.T) {
	p := newPool(t, 0)
	e, _ := p.engine()
	const source = "HTTPS://images/a b.qcow2"
	image := core.ImageDeclaration{Name: "fresh", Source: source, User: "debian"}
	d := core.Declaration{By: core.DeclaredIn("rack.yaml"), Images: []core.ImageDeclaration{image}}
	apply := func(d core.Declaration, report core.Reporter, want core.DeclaredChange) {
		t.Helper()
		changes, err := e.Apply(t.Context(), d, core.ApplyOptions{Report: report})
		if err != nil || changes[0].Change != want {
			t.Fatalf("%+v, %v, want %s", changes, err, want)
		}
	}
	apply(d, nil, core.Added)
	apply(d, func(core.Progress) { t.Error("it is read again") }, core.Unchanged)

	d.Images[0].User, d.Images[0].Format = "", "qcow2" // found anew
	apply(d, func(core.Progress) {
		other := core.Declaration{By: d.By, Images: []core.ImageDeclaration{{Name: "fresh", User: "root"}}}
		if _, err := e.Apply(t.Context(), other, core.ApplyOptions{}); err != nil {
			t.Error(err)
		}
	}, core.Unchanged)
	got, err := e.Image(t.Context(), "fresh")
	if err != nil || got.User != "root" || got.Source != source {
		t.Errorf("it is %+v, %v", got, err)
	}
}

// A number that a float64 does not tell from the next one is another one all the same.
func TestLargeNumbersAreToldApart(t *testing.T) {
	p := bareRack(t, 1)
	mask := func(n int) core.Declaration {
		return core.Declaration{Steps: []core.Step{bios("mask", core.BIOSAttributes{"Mask": n})}}
	}
	p.declared("a", mask(9007199254740993), core.ApplyOptions{}, "step mask added")
	p.declared("a", mask(9007199254740993), core.ApplyOptions{})
	p.declared("a", mask(9007199254740992), core.ApplyOptions{}, "step mask changed bios.attributes.Mask: 9007199254740993 → 9007199254740992")
}

// A number that a program has spelled otherwise than a rack file would is the same number.
func TestNumbersAreTheSameHoweverTheyAreSpelled(t *testing.T) {
	p := bareRack(t, 1)
	steps := func(delay, ttl any) core.Declaration {
		return core.Declaration{Steps: []core.Step{
			bios("delay", core.BIOSAttributes{"Delay": delay}),
			{Name: "dns", Plugin: &core.PluginStep{Name: "dns", Config: core.FreeForm{"zones": []any{map[string]any{"ttl": ttl}}}}},
		}}
	}
	p.declared("a", steps(json.Number("7.0"), json.Number("1e3")), core.ApplyOptions{}, "step delay added", "step dns added")
	p.declared("a", steps(7, 1000), core.ApplyOptions{})
	p.declared("a", steps(7.5, json.Number("10e2")), core.ApplyOptions{}, "step delay changed bios.attributes.Delay: 7 → 7.5")
}

// A step that no profile has, and a profile that no pool has, are told of for as long as
// that is so: nothing would come of them.
func TestWhatNothingUses(t *testing.T) {
	p := newPool(t, 0)
	e, _ := p.engine()
	d := core.Declaration{By: "command line", Steps: []core.Step{{Name: "s", Script: &core.ScriptStep{Run: "true"}}}}
	says := func(want ...string) {
		t.Helper()
		for _, dry := range []bool{true, false, false} {
			changes, err := e.Apply(t.Context(), d, core.ApplyOptions{DryRun: dry})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range changes {
				for _, w := range c.Warnings {
					got = append(got, c.Kind+" "+c.Name+" "+w.String())
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("it warns %q, and not %q", got, want)
			}
		}
	}
	says("step s name: no profile has it, so that it is done to no server; list it among the steps of one")
	d.Profiles = []core.Profile{{Name: "base", Steps: []string{"s"}}}
	const offered = "profile base name: no pool has it, so that no machine gets it; name it as a pool's profile, or among its profiles"
	says(offered)
	d.Pools = []core.PoolDeclaration{{Name: "default", Profiles: []string{"base"}}}
	says()
	d.Pools = []core.PoolDeclaration{{Name: "default", Profiles: []string{}}}
	says(offered)
	d.Pools = []core.PoolDeclaration{{Name: "default", Profile: new("base")}}
	says()
}
