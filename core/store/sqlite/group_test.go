package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// queue runs writes that become members of one group: each begins to wait while the
// first is held.
func queue(t *testing.T, s *Store, writes ...func(tx core.Tx) error) (errs []error) {
	t.Helper()
	errs = make([]error, len(writes))
	ended, held, began := make(chan bool), make(chan bool), make(chan bool)
	for i, write := range writes {
		go func() {
			defer func() { ended <- true }()
			defer func() {
				if p := recover(); p != nil {
					errs[i] = fmt.Errorf("panic: %v", p)
				}
			}()
			first := i == 0
			errs[i] = s.Update(t.Context(), func(tx core.Tx) error {
				if first {
					first = false
					began <- true
					<-held
				}
				return write(tx)
			})
		}()
		if i == 0 {
			<-began
			continue
		}
		for waiting := 0; waiting < i; runtime.Gosched() {
			s.writers.mu.Lock()
			waiting = len(s.writers.waiting)
			s.writers.mu.Unlock()
		}
	}
	close(held)
	for range writes {
		<-ended
	}
	return errs
}

func pools(t *testing.T, s *Store) (names []string) {
	t.Helper()
	err := s.View(t.Context(), func(tx core.Tx) error {
		names = nil
		for p, err := range tx.Pools() {
			if err != nil {
				return err
			}
			names = append(names, p.Name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func put(name string) func(tx core.Tx) error {
	return func(tx core.Tx) error { return tx.PutPool(core.Pool{Name: name}) }
}

// TestWritersShareACommit: each member sees what those before it did, nobody else does
// before the commit, and who fails is undone alone.
func TestWritersShareACommit(t *testing.T) {
	s := fresh(t)
	refused := errors.New("refused")
	var inside, outside []string
	errs := queue(t, s,
		put("a"),
		func(tx core.Tx) error { return errors.Join(tx.PutPool(core.Pool{Name: "b"}), refused) },
		func(tx core.Tx) error {
			if err := tx.PutPool(core.Pool{Name: "c"}); err != nil {
				return err
			}
			panic("at the disco")
		},
		func(tx core.Tx) error {
			inside = nil
			for p, err := range tx.Pools() {
				if err != nil {
					return err
				}
				inside = append(inside, p.Name)
			}
			outside = pools(t, s)
			return tx.PutPool(core.Pool{Name: "d"})
		})
	if errs[0] != nil || !errors.Is(errs[1], refused) || errs[2] == nil || errs[3] != nil {
		t.Errorf("they returned %v", errs)
	}
	if !slices.Equal(inside, []string{"a"}) || len(outside) > 0 {
		t.Errorf("the last member saw %v, and outside was %v", inside, outside)
	}
	if got := pools(t, s); !slices.Equal(got, []string{"a", "d"}) {
		t.Errorf("kept are %v", got)
	}
}

// TestABrokenGroupIsRunAgain: what one member breaks costs the others another run.
func TestABrokenGroupIsRunAgain(t *testing.T) {
	s := fresh(t)
	runs := map[string]int{}
	counted := func(name string) func(tx core.Tx) error {
		return func(tx core.Tx) error {
			runs[name]++
			return put(name)(tx)
		}
	}
	broke := errors.New("the disk is gone")
	errs := queue(t, s, counted("a"), counted("b"), func(core.Tx) error { return nil }, func(x core.Tx) error {
		_, err := x.(*tx).session.exec(rollback) // as SQLite itself does where the disk fails
		return errors.Join(err, broke)
	}, counted("c"))
	if !errors.Is(errs[3], broke) {
		t.Errorf("who broke it was told %v", errs[3])
	}
	if err := errors.Join(errs[0], errs[1], errs[2], errs[4]); err != nil {
		t.Error(err)
	}
	if got := pools(t, s); !slices.Equal(got, []string{"a", "b", "c"}) || runs["a"] != 2 || runs["b"] != 2 || runs["c"] != 1 {
		t.Errorf("kept are %v after runs %v", got, runs)
	}
}

// TestABrokenStatementIsUndoneAlone, as where its caller waits no longer in the middle
// of a list.
func TestABrokenStatementIsUndoneAlone(t *testing.T) {
	s := fresh(t)
	broke := errors.New("cancelled")
	runs := 0
	errs := queue(t, s, put("a"), func(x core.Tx) error {
		_ = x.PutPool(core.Pool{Name: "b"})
		_ = x.(*tx).fail("list", broke)
		return nil
	}, func(tx core.Tx) error {
		runs++
		return put("c")(tx)
	})
	if errs[0] != nil || !errors.Is(errs[1], broke) || errs[2] != nil {
		t.Errorf("they returned %v", errs)
	}
	if got := pools(t, s); !slices.Equal(got, []string{"a", "c"}) || runs != 1 {
		t.Errorf("kept are %v, after %d runs of the last", got, runs)
	}
}

// TestLargeGroupsEnd: a commit is not put off for ever by those who come.
func TestLargeGroupsEnd(t *testing.T) {
	s := fresh(t)
	var writes []func(tx core.Tx) error
	var seen []int
	for i := range 2*maxMembers + 1 {
		writes = append(writes, func(tx core.Tx) error {
			seen = append(seen, len(pools(t, s)))
			return put(fmt.Sprintf("p%02d", i))(tx)
		})
	}
	if err := errors.Join(queue(t, s, writes...)...); err != nil {
		t.Fatal(err)
	}
	for i, n := range seen {
		if want := i / maxMembers * maxMembers; n != want {
			t.Errorf("write %d found %d committed, want %d", i, n, want)
		}
	}
}

// TestAWriterThatNoLongerWaits is not waited for.
func TestAWriterThatNoLongerWaits(t *testing.T) {
	s := fresh(t)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	errs := queue(t, s, func(tx core.Tx) error {
		go func() { gone <- s.Update(ctx, put("late")) }()
		for waiting := 0; waiting < 2; runtime.Gosched() {
			s.writers.mu.Lock()
			waiting = len(s.writers.waiting)
			s.writers.mu.Unlock()
		}
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			return fmt.Errorf("it returned %w", err)
		}
		return put("a")(tx)
	}, put("b"))
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if got := pools(t, s); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("kept are %v", got)
	}
}
