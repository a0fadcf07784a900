package core_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/placetest"
)

// There is no change without its line in the audit log, and no second line of the kind,
// however many transactions a write has.
func TestTheFirstChangeCommitsItsAuditLine(t *testing.T) {
	placetest.Each(t, theFirstChangeCommitsItsAuditLine)
}

func theFirstChangeCommitsItsAuditLine(t *testing.T, at placetest.Place) {
	synctest.Test(t, func(t *testing.T) {
		p := newPoolAt(t, at, 2)
		e, _ := p.engine()
		lines := func() (what []string) {
			log, err := e.Audit(t.Context(), core.AuditFilter{})
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range log {
				what = append(what, l.What)
			}
			return what
		}
		audited := func(what string) context.Context {
			return core.WithAudit(t.Context(), core.AuditEntry{Who: "ann", What: what, Outcome: core.AuditBegun})
		}
		// One that is refused changes nothing, and leaves no line.
		if _, err := e.Create(audited("refused"), order("m-0", "a b"), nil); !core.Is(err, core.Invalid) {
			t.Error(err)
		}
		if got := lines(); len(got) != 0 {
			t.Errorf("lines of what was refused: %q", got)
		}
		if _, err := e.Create(audited("create"), order("m-web-1", "web-1"), nil); err != nil {
			t.Fatal(err)
		}
		if got := lines(); len(got) != 1 || got[0] != "create" {
			t.Errorf("a create of many transactions has the lines %q", got)
		}
		// The line is undone with its transaction, and comes with the next one.
		ctx := audited("rename")
		name := "not a name"
		if _, err := e.Change(ctx, "m-web-1", core.MachineChange{Labels: map[string]*string{name: &name}}); !core.Is(err, core.Invalid) {
			t.Error(err)
		}
		label := "x"
		var all sync.WaitGroup
		for _, key := range []string{"a", "b", "c", "d"} {
			all.Go(func() {
				if _, err := e.Change(ctx, "m-web-1", core.MachineChange{Labels: map[string]*string{key: &label}}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := lines(); len(got) != 2 || got[1] != "rename" {
			t.Errorf("then the lines are %q", got)
		}
	})
}
