package core_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
)

// choice has the default pool offer profiles of one script each, the first as its own;
// each script is what its profile is called.
func (p *pool) choice(names ...string) {
	p.t.Helper()
	d := core.Declaration{By: core.DeclaredIn("test"), Pools: []core.PoolDeclaration{{Name: core.DefaultPool, Profiles: []string{}}}}
	for i, name := range names {
		d.Steps = append(d.Steps, script(name, name))
		d.Profiles = append(d.Profiles, core.Profile{Name: name, Steps: []string{name}})
		if pool := &d.Pools[0]; i == 0 {
			pool.Profile = &name
		} else {
			pool.Profiles = append(pool.Profiles, name)
		}
	}
	e, _ := p.engine()
	if _, err := e.Apply(p.t.Context(), d, core.ApplyOptions{}); err != nil {
		p.t.Fatal(err)
	}
}

// profiled is an order that names a profile.
func profiled(profile string) core.Order {
	o := order("a-1", "web-1")
	o.Profile = profile
	return o
}

// A machine has the profile that its order names, and by default the pool's, also where it
// is deployed again.
func TestProfileOfAnOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		p.choice("plain", "gpu")
		e, _ := p.engine()
		m, err := e.Create(t.Context(), profiled("gpu"), nil)
		if err != nil || m.Profile != "gpu" {
			t.Fatalf("%v; it has profile %q", err, m.Profile)
		}
		if err := e.Check(t.Context(), profiled("plain")); !core.Is(err, core.Exists) || !strings.Contains(err.Error(), "Profile: gpu there, plain asked for") {
			t.Errorf("the same machine with another profile: %v", err)
		}
		for _, profile := range []string{"", "gpu", "plain"} {
			m, err := e.Deploy(t.Context(), profiled(profile), nil)
			if err != nil || m.Profile != profile {
				t.Errorf("deployed again with %q: %v; it has %q", profile, err, m.Profile)
			}
		}
		if ran := p.ran("n1"); !slices.Equal(ran, []string{"gpu", "plain", "gpu", "plain"}) {
			t.Errorf("it ran %q", ran)
		}
		p.sound()
	})
}

// A profile that is withdrawn while machines have it, or are about to, is refused by name;
// nothing is lost, and what the pool still offers goes on.
func TestProfileThatIsWithdrawn(t *testing.T) {
	withdraw := func(p *pool) {
		p.choice("plain")
		e, _ := p.engine()
		if err := e.RemoveProfile(p.t.Context(), "gpu", core.DeclaredIn("test"), false); err != nil {
			p.t.Fatal(err)
		}
	}
	refused := func(t *testing.T, err error) {
		t.Helper()
		if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), `choose profile gpu web-1: pool "default" does not offer it; there are: plain`) {
			t.Errorf("it says %v", err)
		}
	}
	t.Run("while it is used", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, 1)
			p.choice("plain", "gpu")
			e, _ := p.engine()
			if _, err := e.Create(t.Context(), profiled("gpu"), nil); err != nil {
				t.Fatal(err)
			}
			if err := e.RemoveProfile(t.Context(), "gpu", core.DeclaredIn("test"), false); !core.Is(err, core.Busy) || !strings.Contains(err.Error(), "pool default offers it; take it out of that one's profiles first") {
				t.Errorf("the pool still offers it: %v", err)
			}
			withdraw(p)
			again := profiled("gpu")
			again.Revision = "2"
			_, err := e.Deploy(t.Context(), again, nil)
			refused(t, err)
			if m := p.machine("a-1"); m.State != core.Deployed || m.Profile != "gpu" {
				t.Errorf("it is %s with %q", m.State, m.Profile)
			}
			again.Profile = ""
			if m, err := e.Deploy(t.Context(), again, nil); err != nil || m.State != core.Deployed {
				t.Errorf("with what is offered: %v", err)
			}
			p.sound()
		})
	})
	t.Run("while an order waits for a node", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, 1)
			p.choice("plain", "gpu")
			e, _ := p.engine()
			if _, err := e.Create(t.Context(), order("a-0", "web-0"), nil); err != nil {
				t.Fatal(err)
			}
			waits := profiled("gpu")
			waits.Wait = 24 * time.Hour
			ended := make(chan error, 1)
			go func() {
				_, err := e.Create(t.Context(), waits, nil)
				ended <- err
			}()
			pass(10 * time.Minute)
			withdraw(p)
			if err := e.Release(t.Context(), "a-0", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
				t.Fatal(err)
			}
			refused(t, <-ended)
			if m := p.machine("a-1"); m.State != core.Allocated {
				t.Errorf("it is %s", m.State)
			}
			if m, err := e.Create(t.Context(), profiled("plain"), nil); err != nil || m.Profile != "plain" {
				t.Errorf("with what is offered: %v", err)
			}
			p.sound()
		})
	})
}
