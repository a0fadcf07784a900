package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// refusing is a pool whose deploys fail.
type refusing struct {
	core.Operator
	why error
	has core.Machine
}

func (r refusing) Create(context.Context, core.Order, core.Reporter) (core.Machine, error) {
	return core.Machine{}, r.why
}

func (r refusing) Deploy(context.Context, core.Order, core.Reporter) (core.Machine, error) {
	return core.Machine{}, r.why
}

func (r refusing) MachineNamed(context.Context, string, string) (core.Machine, error) {
	return r.has, nil
}

// TestAdviceIsWhatOneCanType: what to do next is a command of metalpool, and means the
// machine that it is about.
func TestAdviceIsWhatOneCanType(t *testing.T) {
	fails := func(hint string) error {
		return &core.Error{Op: "deploy", Kind: core.Transient, Err: errors.New("why"), Hint: hint}
	}
	left := core.Machine{ID: "m-1", Name: "web-1", Owner: "bob", Node: "n1", State: core.Deploying}
	failed := left
	failed.State = core.Failed
	own, bobs := core.DefaultOwner(), "bob"
	create := func(owner string) func(*app, core.Operator) error {
		return func(a *app, e core.Operator) error {
			return a.create(t.Context(), e, core.Order{Name: "web-1", Owner: owner}, outputFlag{})
		}
	}
	redeploy := func(a *app, e core.Operator) error {
		return a.redeploy(t.Context(), e, core.Order{ID: "m-1", Revision: "again-7"}, "bob/web-1", outputFlag{})
	}
	for name, c := range map[string]struct {
		ask  func(*app, core.Operator) error
		hint string
		has  core.Machine
		want string
	}{
		"create, left":      {create(own), core.AdviceUnfinished, left, "the same command goes on with it, 'metalpool machine release web-1' gives it back"},
		"create, failed":    {create(own), "see it; " + core.AdviceFailed, failed, "see it; the same command deploys it anew, 'metalpool machine release web-1' gives it back"},
		"create, another's": {create(bobs), core.AdviceUnfinished, left, "the same command goes on with it, 'metalpool machine release bob/web-1' gives it back"},
		"redeploy, left":    {redeploy, core.AdviceUnfinished, left, "the same command with --id again-7 goes on with it, 'metalpool machine release bob/web-1' gives it back"},
		"redeploy, failed":  {redeploy, core.AdviceFailed, failed, "the same command tries again, 'metalpool machine release bob/web-1' gives it back"},
	} {
		t.Run(name, func(t *testing.T) {
			a := &app{out: io.Discard, err: io.Discard}
			err := c.ask(a, refusing{why: fails(c.hint), has: c.has})
			if err == nil || !strings.HasSuffix(err.Error(), "why; "+c.want) {
				t.Errorf("it says %v", err)
			}
		})
	}
}

// A node that would not have what its profile sets up says so, although it is Available;
// why a machine was given up that was on it says nothing about it.
func TestWhyANodeIsAsItIs(t *testing.T) {
	for reason, want := range map[string]string{
		"not set up: step quiet: there is no attribute \"Quiet\"": "not set up: step quiet: there is no attribute \"Quiet\"",
		"released by ann@desk/7":                                  "",
	} {
		if got := whyNode(core.Node{State: core.Available, Reason: reason}); got != want {
			t.Errorf("of %q it says %q", reason, got)
		}
	}
}
