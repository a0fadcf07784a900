package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

func TestProblemKeepsTheError(t *testing.T) {
	inner := &core.Error{Op: "find image x", Kind: core.NotFound, Err: errors.New("no such image"), Hint: "see 'metalpool image list'"}
	node := &core.Error{Op: "ramdisk", Node: "n1", Kind: core.Timeout, Err: errors.New("no check-in")}
	for name, err := range map[string]error{
		"plain":         errors.New("disk full"),
		"context":       context.DeadlineExceeded,
		"wrapped plain": fmt.Errorf("read: %w", context.Canceled),
		"one":           inner,
		"nothing in it": &core.Error{Op: "set asset tag", Kind: core.Backend, Hint: "it has none"},
		"direct cause":  &core.Error{Op: "deploy", Node: "n1", Allocation: "web-1", Kind: core.Timeout, Err: node, Hint: "try again"},
		"events":        &core.Error{Op: "deploy", Node: "n1", Kind: core.Timeout, Err: node, Before: []string{"03:04:05 n1 power on done", "03:24:05 n1 boot ramdisk failed"}},
		"other kind":    &core.Error{Op: "acquire", Kind: core.NoCapacity, Err: inner},
		"text between":  &core.Error{Op: "deploy", Kind: core.NotFound, Err: fmt.Errorf("%w (and power: %s)", inner, "off"), Hint: "h"},
		"wrapped":       fmt.Errorf("acquire: %w", inner),
		"joined":        errors.Join(node, inner),
		"text after":    fmt.Errorf("%w; and more", &core.Error{Op: "deploy", Kind: core.Backend, Err: fmt.Errorf("a: %w", node)}),
	} {
		wire, encodeErr := json.Marshal(api.NewProblem(err))
		if encodeErr != nil {
			t.Fatal(encodeErr)
		}
		var p api.Problem
		if err := json.Unmarshal(wire, &p); err != nil {
			t.Fatal(err)
		}
		got := p.Err()
		if got.Error() != err.Error() {
			t.Errorf("%s reads %q, want %q", name, got, err)
		}
		if core.KindOf(got) != core.KindOf(err) {
			t.Errorf("%s is %q, want %q", name, core.KindOf(got), core.KindOf(err))
		}
		if g, w := chain(got), chain(err); !reflect.DeepEqual(g, w) {
			t.Errorf("%s has the errors %q within, want %q", name, g, w)
		}
	}
}

// chain is what an adapter finds when it looks for operations, nodes and hints.
func chain(err error) (found []string) {
	for {
		e, ok := errors.AsType[*core.Error](err)
		if !ok {
			return found
		}
		if e.Op != "" {
			found = append(found, fmt.Sprintf("%s|%s|%s|%s|%s|%s", e.Op, e.Node, e.Allocation, e.Kind, e.Hint, e.Before))
		}
		err = e.Err
	}
}

// A problem may come from anybody who answers at an address.
func TestProblemOfNoUseIsStillAnError(t *testing.T) {
	deep := &api.Problem{Op: "a", Kind: core.Busy}
	for range 1000 {
		deep = &api.Problem{Op: "a", Why: "b", Cause: deep}
	}
	for _, p := range []*api.Problem{{}, {Op: "x"}, deep} {
		if err := p.Err(); err == nil || len(chain(err)) > 20 {
			t.Errorf("%+v is no useful error: %v", p, err)
		}
	}
}
