package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/filled"
)

// copy is suite.copying between two stores of one kind.
func (s suite) copy(t *testing.T) {
	Copying(t, s.importer(t), s.importer(t))
	t.Run("refused", func(t *testing.T) { s.refusedCopies(t) })
	t.Run("moved", func(t *testing.T) { s.moved(t) })
	t.Run("cut short", func(t *testing.T) { s.cutShort(t) })
}

// moved tests that a store whose pool has moved is refused to all but who moves it.
func (s suite) moved(t *testing.T) {
	address := s.fresh(t)
	moving, other := s.at(t, address), s.at(t, address)
	failed := &core.Error{Kind: core.Internal}
	mark := core.Moved{Copy: "c-1", To: "sqlite:///elsewhere.db", At: time.Date(2031, 5, 4, 12, 0, 0, 0, time.UTC)}
	nothing := func(core.Tx) error { return nil }
	err := moving.Update(t.Context(), func(tx core.Tx) error { return errors.Join(tx.PutMoved(mark), failed) })
	wantKind(t, err, core.Internal)
	update(t, other, nothing) // what fails moves nothing

	update(t, moving, func(tx core.Tx) error { return tx.PutMoved(mark) })
	ran := false
	late := func(core.Tx) error {
		ran = true
		return nil
	}
	_, opened := s.open(t.Context(), address)
	for _, err := range []error{other.Update(t.Context(), late), other.View(t.Context(), late), opened} {
		wantKind(t, err, core.Invalid)
		if err != nil && (!strings.Contains(err.Error(), "was copied to sqlite:///elsewhere.db at 2031-05-04T12:00:00Z") || !strings.Contains(err.Error(), "store reopen")) {
			t.Errorf("%v does not say where the pool is", err)
		}
	}
	if ran {
		t.Error("the function was run")
	}
	view(t, moving, nothing)
	update(t, moving, func(tx core.Tx) error { return tx.PutMoved(core.Moved{}) })
	update(t, other, nothing)
	view(t, s.at(t, address), nothing)
}

// cutShort tests that a copy which fails opens the store again that it was to leave, and
// that one of which nobody knows whether it was kept leaves it closed.
func (s suite) cutShort(t *testing.T) {
	address := s.fresh(t)
	from, other := s.at(t, address), s.at(t, address)
	update(t, from, func(tx core.Tx) error { return tx.PutPool(core.Pool{Name: "p"}) })
	broken := &core.Error{Kind: core.Transient, Err: errors.New("it breaks")}
	_, err := core.CopyStore(t.Context(), &unreadable{from, broken}, s.importer(t), core.Timing{})
	wantKind(t, err, core.Transient)
	view(t, other, func(core.Tx) error { return nil })

	to := s.importer(t)
	_, err = core.CopyStore(t.Context(), from, &untold{to, broken}, core.Timing{})
	wantKind(t, err, core.Transient)
	wantKind(t, other.View(t.Context(), func(core.Tx) error { return nil }), core.Invalid)
	if pools, _ := holds(t, to)["pools"].([]core.Pool); len(pools) != 1 || pools[0].Name != "p" {
		t.Errorf("copied are %v", pools)
	}
}

// unreadable is a store that cannot be read any more.
type unreadable struct {
	core.Store
	err error
}

func (u *unreadable) View(context.Context, func(tx core.Tx) error) error { return u.err }

// untold is a store that has committed, and does not tell.
type untold struct {
	core.Importer
	err error
}

func (u *untold) Import(ctx context.Context, from core.StoreInfo, fn func(tx core.Tx) error) error {
	return errors.Join(u.Importer.Import(ctx, from, fn), u.err)
}

func (s suite) importer(t *testing.T) core.Importer {
	t.Helper()
	store, ok := s.make(t).(core.Importer)
	if !ok {
		t.Fatal("the store takes over no other one")
	}
	return store
}

// everything writes some of every kind that a store holds.
func everything(t *testing.T, store core.Store) {
	t.Helper()
	node, allocation, attempt := filled.Value[core.Node](t), filled.Value[core.Allocation](t), filled.Value[core.Attempt](t)
	node.Spec.BMC.Node = "" // the engine says it; it is not stored
	lease := filled.Value[core.Lease](t)
	lease.Expires = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC) // its worker died long ago
	token, other := filled.Value[core.Token](t), filled.Value[core.Token](t)
	other.Hash = "another"
	pool, image := filled.Value[core.Pool](t), filled.Value[core.Image](t)
	stock(t, store, 3)
	update(t, store, func(tx core.Tx) error {
		return errors.Join(
			tx.InsertNode(node), tx.InsertNode(core.Node{ID: "bare"}), tx.InsertNode(core.Node{ID: "gone"}), tx.DeleteNode("gone"),
			tx.SwapLease(lease, 0), tx.SwapLease(core.Lease{Node: "gone", Generation: 7}, 0),
			tx.InsertAllocation(allocation), tx.InsertAllocation(core.Allocation{ID: "tombstone", State: core.Released}),
			tx.InsertAllocation(core.Allocation{ID: "an earlier one", Owner: allocation.Owner, Name: allocation.Name, State: core.Expired, Version: 3}),
			tx.PutAttempt(attempt), tx.PutAttempt(core.Attempt{ID: "a"}),
			tx.PutPool(pool), tx.PutPool(core.Pool{Name: "bare"}), tx.PutImage(image), tx.PutStep(filled.Value[core.Step](t)), tx.PutProfile(filled.Value[core.Profile](t)), tx.PutAuthority(filled.Value[core.Authority](t)), tx.PutToken(token), tx.PutToken(other), tx.PutOwner(filled.Value[core.Owner](t)),
			tx.AddEvent(filled.Value[core.Event](t)), tx.AddAudit(filled.Value[core.AuditEntry](t)),
		)
	})
	update(t, store, func(tx core.Tx) error {
		_, err := claim(tx, "claimed", "me")
		return errors.Join(err, tx.AddAudit(core.AuditEntry{Who: "me", What: "claim"}))
	})
	for i := range 30 {
		update(t, store, func(tx core.Tx) error { return tx.AddEvent(core.Event{Node: "gone", Message: fmt.Sprint(i)}) })
	}
}

// holds lists all that a store holds.
func holds(t *testing.T, store core.Store) map[string]any {
	t.Helper()
	all := map[string]any{}
	view(t, store, func(tx core.Tx) error {
		var errs [13]error
		all["nodes"], errs[0] = drain(tx.Nodes(core.NodeFilter{}))
		all["leases"], errs[1] = drain(tx.Leases())
		all["allocations"], errs[2] = drain(tx.Allocations(core.AllocationFilter{}))
		all["attempts"], errs[3] = drain(tx.Attempts())
		all["events"], errs[4] = drain(tx.Events(core.EventFilter{}))
		all["audit"], errs[5] = drain(tx.Audit(core.AuditFilter{}))
		all["pools"], errs[6] = drain(tx.Pools())
		all["images"], errs[7] = drain(tx.Images())
		all["tokens"], errs[8] = drain(tx.Tokens())
		all["owners"], errs[9] = drain(tx.Owners())
		all["steps"], errs[10] = drain(tx.Steps())
		all["profiles"], errs[11] = drain(tx.Profiles())
		all["authorities"], errs[12] = drain(tx.Authorities())
		return errors.Join(errs[:]...)
	})
	return all
}

// Copying tests that a store takes over all that another one holds, and goes on with it.
// Both are empty.
func Copying(t *testing.T, from core.Store, to core.Importer) {
	t.Helper()
	everything(t, from)
	copied, err := core.CopyStore(t.Context(), from, to, core.Timing{})
	if err != nil {
		t.Fatal(err)
	}
	if want := (core.Copied{Nodes: 5, Allocations: 4, Attempts: 2, Leases: 2, Events: 32, Audit: 2, Pools: 2, Images: 1, Steps: 1, Profiles: 1, Tokens: 2, Owners: 1, Authorities: 1}); copied != want {
		t.Errorf("copied %+v, want %+v", copied, want)
	}
	want, got := holds(t, from), holds(t, to)
	for kind := range want {
		same(t, kind, got[kind], want[kind])
	}
	events := got["events"].([]core.Event)
	last := events[len(events)-1].Seq
	update(t, to, func(tx core.Tx) error {
		return errors.Join(tx.AddEvent(core.Event{Message: "after"}), tx.AddAudit(core.AuditEntry{What: "after"}))
	})
	after := read(t, to, func(tx core.Tx) ([]core.Event, error) { return drain(tx.Events(core.EventFilter{After: last})) })
	if len(after) != 1 || after[0].Message != "after" || after[0].At.Before(events[0].At) {
		t.Errorf("after the last event of the copy there are %+v", after)
	}
	if entries := read(t, to, func(tx core.Tx) ([]core.AuditEntry, error) { return drain(tx.Audit(core.AuditFilter{Limit: 1})) }); entries[0].What != "after" {
		t.Errorf("the last audit entry is %+v", entries)
	}
	// What the rows stand in the way of, they still do.
	update(t, to, func(tx core.Tx) error {
		wantKind(t, tx.InsertNode(server(0)), core.Exists)
		wantKind(t, tx.InsertAllocation(core.Allocation{ID: "tombstone"}), core.Exists)
		wantConflict(t, tx.SwapLease(core.Lease{Node: "gone", Generation: 1}, 0))
		_, err := claim(tx, "the next", "me")
		return err
	})
}

func (s suite) refusedCopies(t *testing.T) {
	from := s.make(t)
	update(t, from, func(tx core.Tx) error { return tx.PutPool(core.Pool{Name: "p"}) })
	t.Run("not empty", func(t *testing.T) {
		for name, write := range map[string]func(tx core.Tx) error{
			"a pool":   func(tx core.Tx) error { return tx.PutPool(core.Pool{Name: "q"}) },
			"an event": func(tx core.Tx) error { return tx.AddEvent(core.Event{}) },
			"a lease":  func(tx core.Tx) error { return tx.SwapLease(core.Lease{Node: "n", Generation: 1}, 0) },
			"an entry": func(tx core.Tx) error { return tx.AddAudit(core.AuditEntry{}) },
		} {
			to := s.importer(t)
			update(t, to, write)
			before := to.Info()
			_, err := core.CopyStore(t.Context(), from, to, core.Timing{})
			if wantKind(t, err, core.Exists); err == nil || !strings.Contains(err.Error(), "is not empty") {
				t.Errorf("%s: %v", name, err)
			}
			same(t, "info", to.Info(), before)
		}
	})
	t.Run("at work", func(t *testing.T) {
		to := s.importer(t)
		lease := core.Lease{Node: "n", Holder: "ann@host/7/w-1", Generation: 1, Expires: time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)}
		update(t, from, func(tx core.Tx) error { return tx.SwapLease(lease, 0) })
		_, err := core.CopyStore(t.Context(), from, to, core.Timing{})
		if wantKind(t, err, core.Busy); err == nil || !strings.Contains(err.Error(), "ann@host/7 works on n") {
			t.Errorf("got %v", err)
		}
		update(t, from, func(tx core.Tx) error { return tx.SwapLease(core.Lease{Node: "n", Generation: 1}, 1) })
		if _, err := core.CopyStore(t.Context(), from, to, core.Timing{}); err != nil {
			t.Errorf("at rest, into what was refused before: %v", err)
		}
	})
	t.Run("changed meanwhile", func(t *testing.T) {
		to := s.importer(t)
		_, err := core.CopyStore(t.Context(), &changing{Store: from}, to, core.Timing{})
		if wantKind(t, err, core.Busy); err == nil || !strings.Contains(err.Error(), "pool number 2") {
			t.Errorf("got %v", err)
		}
		for kind, rows := range holds(t, to) {
			if fmt.Sprint(rows) != "[]" {
				t.Errorf("%s are left: %v", kind, rows)
			}
		}
	})
}

// changing is a store that somebody writes to between two looks at it.
type changing struct {
	core.Store
	looked bool
}

func (c *changing) View(ctx context.Context, fn func(tx core.Tx) error) error {
	if c.looked {
		err := c.Update(ctx, func(tx core.Tx) error { return tx.PutPool(core.Pool{Name: "q"}) })
		if err != nil {
			return err
		}
	}
	c.looked = true
	return c.Store.View(ctx, fn)
}
