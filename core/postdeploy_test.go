package core_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
)

func withScript(text string) core.Order {
	o := order("a-1", "web-1")
	o.PostDeploy = []byte(text)
	return o
}

// The user's script comes last, as root, and is nowhere once the machine is deployed.
func TestPostDeploy(t *testing.T) {
	for name, steps := range map[string][]core.Step{"alone": nil, "after the operator's": {script("s", "operator's")}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				p.profile(steps...)
				e, _ := p.engine()
				m, err := e.Create(t.Context(), withScript("user's"), nil)
				if err != nil {
					t.Fatalf("%v\n%s", err, p.story())
				}
				ran := p.rack.Server(m.Node).Look().Ran
				if last := ran[len(ran)-1]; len(ran) != len(steps)+1 || last.Text != "user's" || last.User == core.AsLogin || last.Env["METALPOOL_MACHINE"] != "web-1" || last.Again {
					t.Errorf("it ran %+v", ran)
				}
				if said := p.told("a-1", core.StepOutput); len(said) != len(ran) || !strings.HasPrefix(said[len(said)-1], "post_deploy: script ") {
					t.Errorf("it said %q", said)
				}
				if ours(p.keysOn(m.Node)) != 0 {
					t.Error("the management key was left on the machine")
				}
				p.update(func(tx core.Tx) error {
					a, err := tx.Allocation("a-1")
					if err == nil && a.Order.PostDeploy != nil {
						t.Error("the store keeps the script")
					}
					return err
				})
				if m, err := e.Deploy(t.Context(), order("a-1", "web-1"), nil); err != nil || m.State != core.Deployed || slices.Contains(p.ran(m.Node)[len(ran):], "user's") {
					t.Errorf("deployed again without: %v, it ran %q", err, p.ran(m.Node))
				}
				p.sound()
			})
		})
	}
}

// One that fails is named as the user's own, with what it said last, and the same order
// tries again.
func TestPostDeployThatFails(t *testing.T) {
	for text, want := range map[string]struct {
		kind core.Kind
		says string
	}{
		"exit 3": {core.Unsuccessful, "failed: the user's own script: it ended with status 3; its output ends: "},
		"hang":   {core.Timeout, "timeout: the user's own script: it was ended after 30m, which is its timeout; "},
		"crash":  {core.Unsuccessful, "failed: the user's own script: it was begun, and nobody knows how it ended; "},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, 2)
			e, _ := p.engine()
			_, err := e.Create(t.Context(), withScript(text), nil)
			// It is on one of the two; to name that one in the order would keep it there anyway.
			on := fmt.Sprintf(" (node %s): ", p.machine("a-1").Node)
			if !core.Is(err, want.kind) || !strings.HasPrefix(err.Error(), "deploy web-1"+on+"post_deploy: "+want.says) || !strings.Contains(err.Error(), "'metalpool machine logs web-1'") || strings.Contains(err.Error(), "repeatable") {
				t.Errorf("%s: %v", text, err)
			}
			if m := p.machine("a-1"); m.State != core.Failed || len(m.Moves) > 0 {
				t.Errorf("%s: it is %s, after %q", text, m.State, m.Moves)
			}
			other := withScript("exit 0")
			if err := e.Check(t.Context(), other); !core.Is(err, core.Exists) || !strings.Contains(err.Error(), "the post_deploy script is different") {
				t.Errorf("another script: %v", err)
			}
			if m, err := e.Deploy(t.Context(), other, nil); err != nil || m.State != core.Deployed {
				t.Errorf("with another script: %v", err)
			}
			p.sound()
		})
	}
}

func TestPostDeployThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		refused := func(o core.Order, says string) {
			t.Helper()
			if _, err := e.Create(t.Context(), o, nil); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), says) {
				t.Errorf("got %v, want %s", err, says)
			}
		}
		refused(withScript(" \n"), "read post_deploy web-1: the script is blank")
		refused(withScript(strings.Repeat("x", 1<<18+1)), "the script has 262145 bytes, and the most is 256 KiB; have it fetch the rest")
		unseen := withScript("x")
		unseen.WaitFor = core.UntilStarted
		refused(unseen, "run post_deploy web-1: it logs in to the machine, and nobody is to wait for that one's SSH; wait for ssh, or leave the script out")
		p.manage(core.ManageNever)
		refused(withScript("x"), `pool "default" keeps no management key; have the pool set: metalpool pool set default --management-key deploy; or leave the script out`)
		if free := p.nodes(core.Available); len(free) != 1 {
			t.Errorf("the nodes are %v", p.states())
		}
	})
}
