package sqlite

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

func fresh(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "pool.db"), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestSettings: every connection has them, not only the first.
func TestSettings(t *testing.T) {
	s := fresh(t)
	for range 3 {
		session, err := s.session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.giveBack(session)
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "30000", "temp_store": "2"} {
			var got string
			if err := session.row("PRAGMA "+pragma, nil, &got); err != nil || got != want {
				t.Errorf("%s is %q, %v; want %q", pragma, got, err, want)
			}
		}
	}
}

// TestQueriesUseIndexes: what every acquire and release runs must not grow with
// the store. It runs the verbs, and asks SQLite about every statement they
// prepared.
func TestQueriesUseIndexes(t *testing.T) {
	s := fresh(t)
	err := s.Update(t.Context(), func(tx core.Tx) error {
		n := core.Node{ID: "n", Pool: "p", State: core.Available, Spec: core.NodeSpec{BMC: core.Endpoint{URL: "https://bmc"}}}
		a := core.Allocation{ID: "a", Owner: "o", Name: "a", State: core.Allocated, Node: "n"}
		if err := errors.Join(tx.InsertNode(n), tx.PutSpec(n), tx.InsertAllocation(a)); err != nil {
			return err
		}
		if err := drain(tx.Candidates("p")); err != nil {
			return err
		}
		if err := drain(tx.Nodes(core.NodeFilter{States: []core.State{core.Cleaning, core.Deploying}})); err != nil {
			return err
		}
		for _, f := range []core.AllocationFilter{{States: []core.State{core.Waiting}}, {Live: true}, {Owner: "o", Live: true}, {Pool: "p", Live: true}} {
			if err := drain(tx.Allocations(f)); err != nil {
				return err
			}
		}
		for _, f := range []core.EventFilter{{Node: "n"}, {Allocation: "a"}, {Node: "n", Limit: 3}, {After: 7}, {Limit: 3}, {After: 7, First: 3}} {
			if err := drain(tx.Events(f)); err != nil {
				return err
			}
		}
		_, node := tx.Node("n")
		_, allocation := tx.Allocation("a")
		_, named := tx.AllocationNamed("o", "a")
		_, lease := tx.Lease("n")
		return errors.Join(node, allocation, named, lease,
			tx.SwapNode(n), tx.SwapAllocation(a), tx.SwapLease(core.Lease{Node: "n", Generation: 1}, 0), tx.SwapLease(core.Lease{Node: "n", Generation: 1}, 1),
			tx.PutAttempt(core.Attempt{ID: "t"}), tx.AddEvent(core.Event{Node: "n"}), tx.DeleteNode("n"))
	})
	if err != nil {
		t.Fatal(err)
	}
	session, err := s.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.giveBack(session)
	explained := 0
	for _, query := range slices.Collect(maps.Keys(session.statements)) { // explaining adds to it
		if slices.Contains([]string{"BEGIN IMMEDIATE", savepoint, undo, release, commit, rollback}, query) || strings.Contains(query, "goose") || strings.Contains(query, "meta") || strings.Contains(query, "PRAGMA") || strings.Contains(query, "sqlite_schema") {
			continue
		}
		explained++
		for _, step := range plan(t, session, query) {
			// Scans of the one row that a subquery has found, and of events by a limit.
			if strings.Contains(step, "SCAN") && !slices.Contains([]string{"SCAN first", "SCAN last", "SCAN (subquery-1)"}, step) && !strings.Contains(query, "LIMIT") {
				t.Errorf("%s\n  %s", query, step)
			}
		}
	}
	if explained < 20 {
		t.Errorf("only %d statements were looked at", explained)
	}
}

// drain asks for all that a verb lists.
func drain[T any](list iter.Seq2[T, error]) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// plan is how SQLite would run a query.
func plan(t *testing.T, s *session, query string) []string {
	t.Helper()
	rows, err := s.query("EXPLAIN QUERY PLAN "+query, make([]any, 20)...) // of no matter which values
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return steps
}

// TestFullDisk: a transaction in which a statement broke is not committed, though
// its function took no notice.
func TestFullDisk(t *testing.T) {
	s := fresh(t)
	put := func(size int) error {
		return s.Update(t.Context(), func(tx core.Tx) error {
			if err := tx.PutPool(core.Pool{Name: "small"}); err != nil {
				return err
			}
			_ = tx.PutImage(core.Image{Name: "large", Source: strings.Repeat("x", size)})
			return nil
		})
	}
	limit := func(pages int) {
		session, err := s.session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.giveBack(session)
		var got int
		if err := session.row(fmt.Sprintf("PRAGMA max_page_count = %d", pages), nil, &got); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // becomes the pages there are
	err := put(1 << 20)
	if !core.Is(err, core.Transient) || !strings.Contains(err.Error(), "free some space") || !strings.Contains(err.Error(), s.path) {
		t.Errorf("got %v", err)
	}
	err = s.View(t.Context(), func(tx core.Tx) error {
		_, err := tx.Pool("small")
		return err
	})
	if !core.Is(err, core.NotFound) {
		t.Errorf("half of it was committed: %v", err)
	}
	limit(1 << 20)
	if err := put(1 << 20); err != nil {
		t.Errorf("with space again: %v", err)
	}
}
