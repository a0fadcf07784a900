package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// count is how many nodes there are.
func count(t *testing.T, store core.Store) int {
	t.Helper()
	return len(read(t, store, func(tx core.Tx) ([]core.Node, error) { return drain(tx.Nodes(core.NodeFilter{})) }))
}

func (s suite) rollback(t *testing.T) {
	store := s.make(t)
	stock(t, store, 1)
	everything := func(tx core.Tx) error {
		if _, err := claim(tx, "a", "o"); err != nil {
			return err
		}
		return errors.Join(tx.InsertNode(server(1)), tx.SwapLease(core.Lease{Node: "n", Generation: 1}, 0), tx.PutAttempt(core.Attempt{ID: "t"}),
			tx.PutPool(core.Pool{Name: "p"}), tx.PutImage(core.Image{Name: "i"}))
	}
	nothing := func(t *testing.T) {
		t.Helper()
		view(t, store, func(tx core.Tx) error {
			n, err := tx.Node(server(0).ID)
			same(t, "node", n, server(0))
			if err != nil {
				return err
			}
			_, noNode := tx.Node(server(1).ID)
			_, noAllocation := tx.Allocation("a")
			_, noAttempt := tx.Attempt("t")
			_, noPool := tx.Pool("p")
			_, noImage := tx.Image("i")
			for _, err := range []error{noNode, noAllocation, noAttempt, noPool, noImage} {
				wantKind(t, err, core.NotFound)
			}
			if l, err := tx.Lease("n"); err != nil || l.Generation != 0 {
				t.Errorf("lease %+v, %v", l, err)
			}
			events, err := drain(tx.Events(core.EventFilter{}))
			if len(events) != 0 {
				t.Errorf("events %+v", events)
			}
			return err
		})
	}

	t.Run("error", func(t *testing.T) {
		given := errors.New("no")
		err := store.Update(t.Context(), func(tx core.Tx) error {
			return errors.Join(everything(tx), given)
		})
		if !errors.Is(err, given) || !core.Is(err, core.Internal) {
			t.Errorf("got %v, want the function's own error", err)
		}
		nothing(t)
	})
	t.Run("panic", func(t *testing.T) {
		func() {
			defer func() {
				if p := recover(); p != "at the disco" {
					t.Errorf("recovered %v, want the function's own panic", p)
				}
			}()
			_ = store.Update(t.Context(), func(tx core.Tx) error {
				if err := everything(tx); err != nil {
					return err
				}
				for _, err := range tx.Nodes(core.NodeFilter{}) {
					if err != nil {
						return err
					}
					panic("at the disco") // with a loop still open
				}
				return nil
			})
		}()
		nothing(t)
	})
	t.Run("and then for good", func(t *testing.T) {
		update(t, store, everything)
		if n := count(t, store); n != 2 {
			t.Errorf("there are %d nodes, want 2", n)
		}
	})
}

func (s suite) conflict(t *testing.T) {
	store := s.make(t)
	stock(t, store, 1)
	n := server(0)
	bump := func(version uint64) func(tx core.Tx) error {
		return func(tx core.Tx) error {
			n := n
			n.Version = version
			return tx.SwapNode(n)
		}
	}
	update(t, store, bump(0))

	t.Run("runs again", func(t *testing.T) {
		runs := 0
		update(t, store, func(tx core.Tx) error {
			runs++
			if runs == 1 {
				return fmt.Errorf("wrapped: %w", bump(0)(tx))
			}
			return bump(1)(tx)
		})
		if runs != 2 {
			t.Errorf("the function ran %d times, want 2", runs)
		}
	})
	t.Run("not for ever", func(t *testing.T) {
		wantConflict(t, store.Update(t.Context(), bump(0)))
	})
	t.Run("only for its own", func(t *testing.T) {
		runs := 0
		err := store.Update(t.Context(), func(tx core.Tx) error {
			runs++
			return &core.Error{Op: "work", Kind: core.Busy}
		})
		if wantKind(t, err, core.Busy); runs != 1 {
			t.Errorf("the function ran %d times, want 1", runs)
		}
	})
	t.Run("seen and forgiven", func(t *testing.T) {
		update(t, store, func(tx core.Tx) error {
			wantConflict(t, bump(0)(tx))
			return tx.InsertNode(server(1))
		})
		if n := count(t, store); n != 2 {
			t.Errorf("there are %d nodes, want 2", n)
		}
	})
}

func (s suite) cancel(t *testing.T) {
	store := s.make(t)
	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for name, run := range map[string]func(context.Context, func(core.Tx) error) error{"View": store.View, "Update": store.Update} {
			err := run(ctx, func(core.Tx) error {
				t.Errorf("%s ran its function", name)
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
	t.Run("meanwhile", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := store.Update(ctx, func(tx core.Tx) error {
			if err := tx.InsertNode(server(0)); err != nil {
				return err
			}
			cancel()
			if _, err := tx.Node(server(0).ID); !errors.Is(err, context.Canceled) {
				t.Errorf("a verb after the end: %v", err)
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if n := count(t, store); n != 0 {
			t.Errorf("there are %d nodes, want none", n)
		}
	})
	t.Run("while waiting for a turn", func(t *testing.T) {
		// Some wait behind a writer of their own Store, some behind another's.
		address := s.fresh(t)
		store, other := s.at(t, address), s.at(t, address)
		inside, leave, left := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			left <- store.Update(t.Context(), func(tx core.Tx) error {
				err := tx.InsertNode(server(0)) // what the others want to write, too
				close(inside)
				<-leave
				return err
			})
		}()
		<-inside
		ctx, cancel := context.WithCancel(t.Context())
		waited := make(chan error)
		waiters := []core.Store{store, other, store, other, other}
		for _, waiter := range waiters {
			go func() {
				waited <- waiter.Update(ctx, func(tx core.Tx) error { return tx.InsertNode(server(0)) })
			}()
		}
		cancel()
		for range waiters {
			if err := <-waited; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		close(leave)
		if err := <-left; err != nil {
			t.Error(err)
		}
		update(t, store, func(tx core.Tx) error { return tx.InsertNode(server(2)) })
		update(t, other, func(tx core.Tx) error { return tx.InsertNode(server(3)) })
		if n := count(t, store); n != 3 {
			t.Errorf("there are %d nodes, want 3", n)
		}
	})
}

// misuse: what would only fail on one store, or now and then, fails on every one.
func (s suite) misuse(t *testing.T) {
	store := s.make(t)
	stock(t, store, 3)
	t.Run("writing in a View", func(t *testing.T) {
		for name, write := range map[string]func(core.Tx) error{
			"InsertNode": func(tx core.Tx) error { return tx.InsertNode(server(9)) },
			"SwapNode":   func(tx core.Tx) error { return tx.SwapNode(server(0)) },
			"DeleteNode": func(tx core.Tx) error { return tx.DeleteNode(server(0).ID) },
			"AddEvent":   func(tx core.Tx) error { return tx.AddEvent(core.Event{}) },
			"PutPool":    func(tx core.Tx) error { return tx.PutPool(core.Pool{Name: "p"}) },
		} {
			err := store.View(t.Context(), write)
			if wantKind(t, err, core.Internal); errors.Is(err, core.ErrConflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := count(t, store); n != 3 {
			t.Errorf("there are %d nodes, want 3", n)
		}
	})
	t.Run("a verb inside an open loop", func(t *testing.T) {
		view(t, store, func(tx core.Tx) error {
			for _, err := range tx.Nodes(core.NodeFilter{}) {
				if err != nil {
					return err
				}
				_, err = tx.Node(server(0).ID)
				wantKind(t, err, core.Internal)
			}
			_, err := tx.Node(server(0).ID)
			return err
		})
	})
	t.Run("a transaction that has ended", func(t *testing.T) {
		var kept core.Tx
		update(t, store, func(tx core.Tx) error {
			kept = tx
			return nil
		})
		_, err := kept.Node(server(0).ID)
		wantKind(t, err, core.Internal)
		wantKind(t, kept.InsertNode(server(9)), core.Internal)
		_, err = drain(kept.Nodes(core.NodeFilter{}))
		wantKind(t, err, core.Internal)
	})
	t.Run("a store that was closed", func(t *testing.T) {
		closed := s.make(t)
		if err := closed.Close(); err != nil {
			t.Fatal(err)
		}
		nothing := func(core.Tx) error { return nil }
		wantKind(t, closed.View(t.Context(), nothing), core.Internal)
		wantKind(t, closed.Update(t.Context(), nothing), core.Internal)
	})
}

// pictures: a View sees one moment, whatever is committed meanwhile.
func (s suite) pictures(t *testing.T) {
	address := s.fresh(t)
	store, other := s.at(t, address), s.at(t, address)
	stock(t, store, 2)
	view(t, store, func(tx core.Tx) error {
		before, err := tx.Node(server(0).ID)
		if err != nil {
			return err
		}
		changed := make(chan error)
		go func() {
			changed <- other.Update(t.Context(), func(tx core.Tx) error {
				return errors.Join(tx.SwapNode(before), tx.DeleteNode(server(1).ID), tx.InsertNode(server(2)))
			})
		}()
		if err := <-changed; err != nil {
			return err
		}
		all, err := drain(tx.Nodes(core.NodeFilter{}))
		same(t, "the same picture", all, []core.Node{server(0), server(1)})
		return err
	})
	after := read(t, store, func(tx core.Tx) (core.Node, error) { return tx.Node(server(0).ID) })
	if after.Version != 1 {
		t.Errorf("the next View sees version %d, want 1", after.Version)
	}
}

func (s suite) reopen(t *testing.T) {
	address := s.fresh(t)
	store, err := s.open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	info := store.Info()
	if info.PoolID == "" || info.Schema < 1 || info.URL == "" {
		t.Errorf("info %+v", info)
	}
	stock(t, store, 3)
	update(t, store, func(tx core.Tx) error { return tx.AddEvent(core.Event{Message: "before"}) })
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	again := s.at(t, address)
	same(t, "info", again.Info(), info)
	update(t, again, func(tx core.Tx) error { return tx.AddEvent(core.Event{Message: "after"}) })
	if n := count(t, again); n != 3 {
		t.Errorf("there are %d nodes, want 3", n)
	}
	events := read(t, again, func(tx core.Tx) ([]core.Event, error) { return drain(tx.Events(core.EventFilter{})) })
	if len(events) != 2 || events[1].Seq <= events[0].Seq {
		t.Errorf("events %+v", events)
	}
	if other := s.make(t).Info(); other.PoolID == info.PoolID {
		t.Error("two stores have one pool ID")
	}
}
