package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// refuseCommit makes the commit of all that has been done fail, as a full disk does:
// what was written goes to the log only then.
func refuseCommit(x core.Tx) error {
	session := x.(*tx).session
	for _, statement := range []string{
		"CREATE TEMP TABLE parent (id INTEGER PRIMARY KEY)",
		"CREATE TEMP TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
		"INSERT INTO child VALUES (1)",
	} {
		if _, err := session.conn.ExecContext(background, statement); err != nil {
			return err
		}
	}
	return nil
}

// TestACommitThatFailsIsOnlyHis whose change it was: a write that has no room on the disk
// is no reason to fail those that have, nor is what it would have changed one to refuse.
func TestACommitThatFailsIsOnlyHis(t *testing.T) {
	s := fresh(t)
	taken := errors.New("its name is taken")
	errs := queue(t, s, put("a"), func(tx core.Tx) error {
		return errors.Join(tx.PutPool(core.Pool{Name: "b"}), refuseCommit(tx))
	}, func(tx core.Tx) error {
		if _, err := tx.Pool("b"); !core.Is(err, core.NotFound) {
			return taken
		}
		return tx.PutPool(core.Pool{Name: "b", DefaultImage: "other"})
	}, func(tx core.Tx) error {
		_, err := tx.Pool("none")
		return err
	}, put("c"))
	if errs[1] == nil || !strings.HasPrefix(errs[1].Error(), "commit: ") {
		t.Errorf("who broke it was told %v", errs[1])
	}
	if !core.Is(errs[3], core.NotFound) {
		t.Errorf("whose own it was to fail was told %v", errs[3])
	}
	if err := errors.Join(errs[0], errs[2], errs[4]); err != nil {
		t.Error(err)
	}
	if got := pools(t, s); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("kept are %v", got)
	}
}

// TestNobodyJoinsWhoRunsAgain: what breaks its transaction each time does so once for
// others.
func TestNobodyJoinsWhoRunsAgain(t *testing.T) {
	s := fresh(t)
	runs, late := 0, make(chan error)
	errs := queue(t, s, put("a"), func(tx core.Tx) error {
		if runs++; runs == 2 {
			go func() { late <- s.Update(t.Context(), put("b")) }()
			for waiting := 0; waiting == 0; runtime.Gosched() {
				s.writers.mu.Lock()
				waiting = len(s.writers.waiting)
				s.writers.mu.Unlock()
			}
		}
		return refuseCommit(tx)
	})
	if errs[0] != nil || !core.Is(errs[1], core.Internal) || runs != 2 {
		t.Errorf("they returned %v, the second after %d runs", errs, runs)
	}
	if err := <-late; err != nil {
		t.Error(err)
	}
}

// TestTheRightToWriteIsNotLost with a writer that no longer waits when it is handed over.
func TestTheRightToWriteIsNotLost(t *testing.T) {
	var w writers
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		if err := w.take(t.Context()); err != nil {
			t.Error(err)
		}
		taken := make(chan error)
		go func() { taken <- w.take(ctx) }()
		for waiting := false; !waiting; runtime.Gosched() {
			w.mu.Lock()
			if waiting = len(w.waiting) > 0; waiting {
				cancel() // it wakes up, and finds the lock taken
				w.taken = w.handOver()
			}
			w.mu.Unlock()
		}
		err := <-taken
		cancel()
		if err != nil {
			t.Fatalf("it was handed the right, and returned %v", err)
		}
		w.giveUp()
	}
}

// TestNobodyJoinsAfterClose: who comes when the store was closed is refused, also where a
// transaction is still under way.
func TestNobodyJoinsAfterClose(t *testing.T) {
	s := fresh(t)
	errs := queue(t, s, func(tx core.Tx) error {
		return errors.Join(s.Close(), tx.PutPool(core.Pool{Name: "a"}))
	}, put("b"), put("c"))
	if errs[0] != nil {
		t.Errorf("who was at work was told %v", errs[0])
	}
	for _, err := range errs[1:] {
		if !errors.Is(err, record.ErrClosed) {
			t.Errorf("who came too late was told %v", err)
		}
	}
}

// TestABrokenSessionIsNotUsedAgain, in which a transaction is still open.
func TestABrokenSessionIsNotUsedAgain(t *testing.T) {
	for name, run := range map[string]func(s *Store, fn func(tx core.Tx) error) error{
		"Update": func(s *Store, fn func(tx core.Tx) error) error { return s.Update(background, fn) },
		"View":   func(s *Store, fn func(tx core.Tx) error) error { return s.View(background, fn) },
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)
			if err := s.Update(t.Context(), put("a")); err != nil {
				t.Fatal(err)
			}
			refused := errors.New("refused")
			err := run(s, func(x core.Tx) error {
				statement, err := x.(*tx).session.statement(rollback)
				return errors.Join(err, statement.Close(), refused) //nolint:sqlclosecheck // it is closed so that it cannot be run any more
			})
			if !errors.Is(err, refused) {
				t.Errorf("it returned %v", err)
			}
			if err := s.Update(t.Context(), put("b")); err != nil {
				t.Error(err)
			}
			if got := pools(t, s); !slices.Equal(got, []string{"a", "b"}) {
				t.Errorf("kept are %v", got)
			}
		})
	}
}

// TestNothingIsWrittenElsewhere: what a large write keeps for its undoing is neither on
// another disk, which may be full, nor in a folder that is anybody's.
func TestNothingIsWrittenElsewhere(t *testing.T) {
	s := fresh(t)
	large := func(fill string) core.Image {
		return core.Image{Name: "large", Source: strings.Repeat(fill, 1<<20)}
	}
	open := func() (files []string) {
		names, err := filepath.Glob("/proc/self/fd/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if file, err := os.Readlink(name); err == nil && strings.Contains(file, "etilqs_") { // as SQLite names them
				files = append(files, file)
			}
		}
		return files
	}
	for _, fill := range []string{"a", "b", "c"} {
		err := s.Update(t.Context(), func(tx core.Tx) error {
			if err := errors.Join(tx.PutImage(large(fill)), tx.DeleteImage("large"), tx.PutImage(large(fill))); err != nil {
				return err
			}
			if files := open(); len(files) > 0 {
				t.Errorf("it has made %v", files)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestWritesAreIsolated: whatever others do in the same group, each write that was told
// to be done is there, whole and once, and nothing of any other is.
func TestWritesAreIsolated(t *testing.T) {
	const writers, rounds = 24, 20
	address := filepath.Join(t.TempDir(), "pool.db")
	var stores [2]*Store
	for i := range stores {
		s, err := Open(t.Context(), address, Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		stores[i] = s
	}
	refused := errors.New("refused")
	var mu sync.Mutex
	kept := map[string]bool{}
	var group sync.WaitGroup
	for writer := range writers {
		group.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(writer), 0))
			for round := range rounds {
				name, runs, fate := fmt.Sprintf("%02d-%02d", writer, round), 0, dice.IntN(12)
				ctx, cancel := context.WithCancel(t.Context())
				write := func(x core.Tx) error {
					if runs++; fate == 0 && runs == 1 {
						return core.ErrConflict
					}
					before, err := x.Pool("count") // lost, where two of one number are kept
					if err != nil && !core.Is(err, core.NotFound) {
						return err
					}
					before.Name, before.Quota = "count", before.Quota+1
					if err := errors.Join(x.PutPool(before), x.PutPool(core.Pool{Name: name}), x.AddEvent(core.Event{Message: name})); err != nil {
						return err
					}
					switch fate {
					case 1:
						return refused
					case 2:
						panic(refused)
					case 3:
						cancel()
					case 4:
						return refuseCommit(x)
					case 5:
						_, err := x.(*tx).session.exec(rollback)
						return errors.Join(err, refused)
					case 6:
						_ = x.(*tx).fail("write", refused)
					}
					return nil
				}
				err := func() (err error) {
					defer func() {
						if p := recover(); p != nil {
							err = p.(error)
						}
					}()
					return stores[writer%len(stores)].Update(ctx, write)
				}()
				cancel()
				if fails := slices.Contains([]int{1, 2, 3, 4, 5, 6}, fate); fails != (err != nil) {
					t.Errorf("fate %d: it returned %v", fate, err)
				}
				if err == nil {
					mu.Lock()
					kept[name] = true
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	err := stores[0].View(t.Context(), func(tx core.Tx) error {
		found := map[string]bool{}
		for p, err := range tx.Pools() {
			if err != nil {
				return err
			}
			if p.Name == "count" {
				if p.Quota != len(kept) {
					t.Errorf("%d were counted, %d told to be done", p.Quota, len(kept))
				}
				continue
			}
			if found[p.Name] = true; !kept[p.Name] {
				t.Errorf("%s is there", p.Name)
			}
		}
		if len(found) != len(kept) {
			t.Errorf("%d are there, %d were told to be done", len(found), len(kept))
		}
		last, events := core.Event{}, 0
		for e, err := range tx.Events(core.EventFilter{}) {
			if err != nil {
				return err
			}
			if events++; e.At.Before(last.At) || e.Seq <= last.Seq {
				t.Errorf("event %d at %v is told after event %d at %v", e.Seq, e.At, last.Seq, last.At)
			}
			if last = e; !kept[e.Message] {
				t.Errorf("the event of %s is there", e.Message)
			}
		}
		if events != len(kept) {
			t.Errorf("%d events are there of %d writes", events, len(kept))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
