package core_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// homeless does steps of which this host has not got what they need.
type homeless struct{ program }

func (homeless) CheckHost(s core.Step) ([]string, error) {
	if s.Name == "here" {
		return []string{"plugin", "name"}, nil
	}
	return []string{"plugin", "name"}, &core.Error{Op: "find plugin", Kind: core.NotFound, Err: errors.New("there is none"), Hint: "install it"}
}

// Whoever declares a step hears at once what the host has not got that it needs; it is
// declared all the same, since another host may.
func TestWhatTheHostLacksIsToldAtOnce(t *testing.T) {
	p := newPool(t, 0)
	host := p.rack.Host()
	e := core.New(core.Config{
		Store: host.Store(p.store), Sealer: cloak{}, Deployer: host, Timing: timing,
		Steps: map[core.StepKind]core.StepRunner{core.KindPlugin: homeless{}},
		Resolve: func(context.Context, core.Reference) (string, error) {
			t.Error("a secret is asked for")
			return "", nil
		},
		Findable: func(ref core.Reference) error {
			if ref == "env:THERE" {
				return nil
			}
			return fmt.Errorf("%s is not set", ref)
		},
	})
	away := pluginStep("away", "dns")
	away.Secrets = map[string]core.Reference{"A": "env:THERE", "B": "env:MISSING", "C": "env:GONE"}
	d := core.Declaration{
		By: core.DeclaredIn("rack.yaml"), Steps: []core.Step{pluginStep("here", "dns"), away},
		Profiles: []core.Profile{{Name: "base", Steps: []string{"here", "away"}}}, Pools: []core.PoolDeclaration{{Name: "default", Profile: new("base")}},
	}
	// Looked at, declared, and there already: it is lacking all the time.
	for i, o := range []core.ApplyOptions{{DryRun: true}, {}, {}} {
		changes, err := e.Apply(t.Context(), d, o)
		if err != nil || len(changes) != 4 || len(changes[0].Warnings) > 0 || len(changes[1].Warnings) != 3 {
			t.Fatalf("%d: %+v, %v", i, changes, err)
		}
		for j, want := range []struct {
			path []string
			says string
		}{{[]string{"plugin", "name"}, " lacks it: there is none; install it"}, {[]string{"secrets", "B"}, " lacks it: env:MISSING is not set"}, {[]string{"secrets", "C"}, " lacks it: env:GONE is not set"}} {
			if got := changes[1].Warnings[j]; !reflect.DeepEqual(got.Path, want.path) || !strings.Contains(got.Text, want.says) || !strings.Contains(got.Text, "host") {
				t.Errorf("%d: %+v, want %+v", i, got, want)
			}
		}
	}
	if s, err := e.Step(t.Context(), "away"); err != nil || !s.Same(away) {
		t.Errorf("it is declared as %+v, %v", s, err)
	}
	// What is refused is refused without a look at the host.
	if _, err := e.Apply(core.AskedFromAfar(t.Context()), core.Declaration{By: "x", Steps: []core.Step{{Name: "other", Plugin: away.Plugin, Secrets: away.Secrets}}}, core.ApplyOptions{}); !core.Is(err, core.Denied) || strings.Contains(err.Error(), "lacks") {
		t.Errorf("from elsewhere: %v", err)
	}
}
