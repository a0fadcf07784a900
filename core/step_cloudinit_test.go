package core_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
)

// cloudInit is a step that adds a fragment.
func cloudInit(name, config string) core.Step {
	return core.Step{Name: name, CloudInit: &core.CloudInitStep{Config: config}}
}

func withUserData(text string) core.Order {
	o := order("a-1", "web-1")
	o.UserData = []byte(text)
	return o
}

// userData is what that the system on a node was made with.
func (p *pool) userData(id core.NodeID) string {
	p.t.Helper()
	system := p.rack.Server(id).Look().System
	if system == nil {
		p.t.Fatal("no system runs there")
	}
	return string(system.UserData)
}

// A machine has what its operator adds and what its user asks for, in this order, whoever
// it goes to; the way in stays the user's.
func TestFragments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		second := cloudInit("second", "runcmd: [second]")
		second.After = []string{"first"}
		first := cloudInit("first", "#cloud-config\nruncmd: [\"first of {{.Machine.Name}} on {{.Node.ID}}\", '{{secret \"TOKEN\"}}']\nlocale: C")
		first.Secrets = map[string]core.Reference{"TOKEN": "env:TOKEN"}
		p.profile(script("last", "x"), second, first)
		e, _ := p.engine()
		m, err := e.Create(t.Context(), withUserData("#cloud-config\nruncmd: [user's]\nlocale: C\nhostname: h\n"), nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, p.story())
		}
		if got, want := p.userData(m.Node), "#cloud-config\nruncmd: [\"first of web-1 on n1\", '"+stepSecret+"', second, user's]\nlocale: C\nhostname: h\n"; got != want {
			t.Errorf("cloud-init got\n%s\nwant\n%s", got, want)
		}
		if keys := p.keysOn(m.Node); len(keys) == 0 || ours(keys) != 0 {
			t.Errorf("the machine lets in %q", keys)
		}
		met := p.told("a-1", core.StepMet)
		at := func(step string) int { return slices.Index(met, step+": ") }
		if at("step first") < 0 || at("step first") > at("step second") || at("step second") > at("write image") || at("step last") < at("write seed") {
			t.Errorf("met are %q", met)
		}
		if strings.Contains(p.story(), stepSecret) {
			t.Errorf("the secret is in the events:\n%s", p.story())
		}
		p.update(func(tx core.Tx) error {
			at, err := tx.Attempt(core.AttemptID(p.rack.Server(m.Node).Look().System.InstanceID))
			if err == nil && at.Fragments != nil {
				t.Error("the attempt keeps the fragments")
			}
			return err
		})
		p.sound()
	})
}

// What cannot be joined is refused by both sides' names: in a declaration, before a server
// is taken, or before its disk is written.
func TestFragmentsThatDisagree(t *testing.T) {
	declared := func(steps ...core.Step) core.Declaration {
		d := core.Declaration{By: core.DeclaredIn("test"), Steps: steps, Profiles: []core.Profile{{Name: "base"}}, Pools: []core.PoolDeclaration{{Name: core.DefaultPool, Profile: new("base")}}}
		for _, s := range steps {
			d.Profiles[0].Steps = append(d.Profiles[0].Steps, s.Name)
		}
		return d
	}
	refused := func(t *testing.T, err error, says string) {
		t.Helper()
		if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %s", err, says)
		}
	}
	t.Run("in a declaration", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, 1)
			e, _ := p.engine()
			_, err := e.Apply(t.Context(), declared(cloudInit("a", "timezone: UTC"), cloudInit("b", "timezone: CET")), core.ApplyOptions{})
			refused(t, err, "read profile base: step a and step b disagree on timezone")
			_, err = e.Apply(t.Context(), declared(cloudInit("a", "users: [x]")), core.ApplyOptions{})
			refused(t, err, "cloud_init: config: users cannot be set: who logs in is the user's to choose")
			other := cloudInit("b", "timezone: CET")
			other.Only = &core.StepServers{Model: "other"}
			if _, err = e.Apply(t.Context(), declared(cloudInit("a", "timezone: '{{.Node.Labels.tz}}'"), cloudInit("c", "timezone: UTC"), other), core.ApplyOptions{}); err != nil {
				t.Errorf("what may agree: %v", err)
			}
		})
	})
	t.Run("in an order", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, 1)
			p.profile(cloudInit("a", "timezone: '{{.Pool}}'"))
			e, _ := p.engine()
			for _, text := range []string{"#cloud-config\ntimezone: CET\n", "Content-Type: multipart/mixed; boundary=x\nMIME-Version: 1.0\n\n--x\nContent-Type: text/cloud-config\n\n#cloud-config\ntimezone: CET\n--x--\n"} {
				says := "join user data web-1: step a and the user data disagree on timezone; the steps are the pool's operator's"
				refused(t, e.Check(t.Context(), withUserData(text)), says)
				_, err := e.Create(t.Context(), withUserData(text), nil)
				refused(t, err, says)
			}
			if free := p.nodes(core.Available); len(free) != 1 {
				t.Errorf("the nodes are %v", p.states())
			}
		})
	})
	t.Run("on a node", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, 1)
			p.profile(cloudInit("a", "timezone: '{{.Node.ID}}'"))
			e, _ := p.engine()
			_, err := e.Create(t.Context(), withUserData("#cloud-config\ntimezone: CET\n"), nil)
			refused(t, err, "deploy web-1 (node n1): step a: step a and the user data disagree on timezone")
			if writes := p.rack.Server("n1").Look().Disks; len(p.told("a-1", core.StepMet)) == 0 || slices.Contains(p.told("a-1", core.StepMet), "write image: ") {
				t.Errorf("the disk was written: %v", writes)
			}
			if _, err := e.Deploy(t.Context(), withUserData("#cloud-config\nlocale: C\n"), nil); err != nil {
				t.Errorf("with other user data: %v", err)
			}
			p.sound()
		})
	})
}

// A fragment is left out where its operator would rather have that than no machine.
func TestFragmentThatIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		missing := cloudInit("rack", "runcmd: ['{{.Node.Labels.nowhere}}']")
		missing.OnFailure = core.FailNothing
		unknown := cloudInit("token", "runcmd: ['{{secret \"X\"}}']")
		unknown.OnFailure, unknown.Secrets = core.FailNothing, map[string]core.Reference{"X": "env:OTHER"}
		p.profile(missing, unknown, cloudInit("rest", "locale: C"))
		e, _ := p.engine()
		m, err := e.Create(t.Context(), order("a-1", "web-1"), nil)
		if err != nil || p.userData(m.Node) != "#cloud-config\nlocale: C\n" {
			t.Errorf("%v\n%s", err, p.story())
		}
		if warned := p.told("a-1", core.StepWarned); len(warned) != 2 || !strings.Contains(warned[0], "nowhere") || !strings.Contains(warned[1], "env:OTHER") {
			t.Errorf("it warned %q", warned)
		}
		p.sound()
	})
}
