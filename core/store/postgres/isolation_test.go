package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/postgres"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// made opens a fresh store on the shared server.
func made(t *testing.T) (store core.Store, address string) {
	t.Helper()
	address = pgtest.Shared(t).Fresh(t)
	return opened(t, address, postgres.Options{Create: true}), address
}

// opened opens the store at address, closed with the test.
func opened(t *testing.T, address string, o postgres.Options) core.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// connect opens a connection behind the store's back.
func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// awaitWaiter returns once some transaction waits for a lock.
func awaitWaiter(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for waits := false; !waits; {
		if err := conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)").Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
}

func add(message string) func(tx core.Tx) error {
	return func(tx core.Tx) error { return tx.AddEvent(core.Event{Message: message}) }
}

func messages(t *testing.T, store core.Store) []string {
	t.Helper()
	var all []string
	err := store.View(t.Context(), func(tx core.Tx) error {
		all = nil
		for ev, err := range tx.Events(core.EventFilter{}) {
			if err != nil {
				return err
			}
			all = append(all, ev.Message)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantMessages(t *testing.T, store core.Store, want ...string) {
	t.Helper()
	if got := messages(t, store); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// A worker that has read its lease commits before anybody takes the lease over: what it
// writes is never written after it was fenced out.
func TestFence(t *testing.T) {
	worker, address := made(t)
	taker, watcher := opened(t, address, postgres.Options{}), connect(t, address)
	lease := core.Lease{Node: "n", Holder: "worker", Generation: 1}
	if err := worker.Update(t.Context(), func(tx core.Tx) error { return tx.SwapLease(lease, 0) }); err != nil {
		t.Fatal(err)
	}
	taken := make(chan error)
	err := worker.Update(t.Context(), func(tx core.Tx) error {
		if l, err := tx.Lease("n"); err != nil || l != lease {
			return fmt.Errorf("lease %+v, %w", l, err)
		}
		go func() {
			taken <- taker.Update(t.Context(), func(tx core.Tx) error {
				l, err := tx.Lease("n")
				if err != nil {
					return err
				}
				return errors.Join(tx.AddEvent(core.Event{Message: "taken"}), tx.SwapLease(core.Lease{Node: "n", Holder: "taker", Generation: 2}, l.Generation))
			})
		}()
		awaitWaiter(t, watcher)
		if err := tx.AddEvent(core.Event{Message: "worked"}); err != nil {
			return err
		}
		return tx.PutAttempt(core.Attempt{ID: "a", Node: "n"})
	})
	if err := errors.Join(err, <-taken); err != nil {
		t.Fatal(err)
	}
	wantMessages(t, worker, "worked", "taken")
}

// numberedEarly adds an event, and has it numbered before the commit.
func numberedEarly(message string) func(tx core.Tx) error {
	return func(tx core.Tx) error {
		if err := add(message)(tx); err != nil {
			return err
		}
		for _, err := range tx.Events(core.EventFilter{Limit: 1}) {
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// An event that is numbered early and committed late does not come in before what was
// told already.
func TestNothingComesInBefore(t *testing.T) {
	store, address := made(t)
	late := opened(t, address, postgres.Options{})
	if err := store.Update(t.Context(), add("first")); err != nil {
		t.Fatal(err)
	}
	err := late.Update(t.Context(), func(tx core.Tx) error {
		if err := numberedEarly("numbered early")(tx); err != nil {
			return err
		}
		if err := store.Update(t.Context(), add("committed early")); err != nil {
			return err
		}
		wantMessages(t, store, "first") // the other one may still come in
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantMessages(t, store, "first", "numbered early", "committed early")
}

// What follows from something else is numbered after it, though it began before.
func TestNumbersFollowTheRows(t *testing.T) {
	store, address := made(t)
	other := opened(t, address, postgres.Options{})
	take := func(tx core.Tx, message string) error {
		l, err := tx.Lease("n")
		if err != nil {
			return err
		}
		if err := tx.SwapLease(core.Lease{Node: "n", Generation: l.Generation + 1}, l.Generation); err != nil {
			return err
		}
		return add(message)(tx)
	}
	err := store.Update(t.Context(), func(tx core.Tx) error {
		if err := other.Update(t.Context(), func(tx core.Tx) error { return take(tx, "begun second") }); err != nil {
			return err
		}
		return take(tx, "begun first")
	})
	if err != nil {
		t.Fatal(err)
	}
	wantMessages(t, store, "begun second", "begun first")
}

// Those who wait for each other in a circle are untangled: one is run again.
func TestCircle(t *testing.T) {
	store, address := made(t)
	other := opened(t, address, postgres.Options{})
	err := store.Update(t.Context(), func(tx core.Tx) error {
		return errors.Join(tx.SwapLease(core.Lease{Node: "a", Generation: 1}, 0), tx.SwapLease(core.Lease{Node: "b", Generation: 1}, 0))
	})
	if err != nil {
		t.Fatal(err)
	}
	met := make(chan struct{}, 2)
	both := make(chan struct{})
	go func() {
		<-met
		<-met
		close(both)
	}()
	take := func(s core.Store, first, second core.NodeID, done chan<- error) {
		runs := 0
		done <- s.Update(t.Context(), func(tx core.Tx) error {
			runs++
			for _, id := range []core.NodeID{first, second} {
				l, err := tx.Lease(id)
				if err != nil {
					return err
				}
				if id == first && runs == 1 {
					met <- struct{}{}
					<-both
				}
				if err := tx.SwapLease(core.Lease{Node: id, Generation: l.Generation + 1}, l.Generation); err != nil {
					return err
				}
			}
			return nil
		})
	}
	done := make(chan error, 2)
	go take(store, "a", "b", done)
	go take(other, "b", "a", done)
	if err := errors.Join(<-done, <-done); err != nil {
		t.Fatal(err)
	}
	err = store.View(t.Context(), func(tx core.Tx) error {
		for l, err := range tx.Leases() {
			if err != nil || l.Generation != 3 {
				t.Errorf("lease %+v, %v; want generation 3", l, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A request to stop a statement may come late, and strike the next one, which nobody
// wanted to be stopped: it is run again.
func TestStoppedBySomebodyElse(t *testing.T) {
	store, address := made(t)
	other, watcher := opened(t, address, postgres.Options{}), connect(t, address)
	take := func(tx core.Tx) error {
		l, err := tx.Lease("n")
		if err != nil {
			return err
		}
		return tx.SwapLease(core.Lease{Node: "n", Generation: l.Generation + 1}, l.Generation)
	}
	if err := store.Update(t.Context(), take); err != nil {
		t.Fatal(err)
	}
	taken := make(chan error)
	err := store.Update(t.Context(), func(tx core.Tx) error {
		if err := take(tx); err != nil {
			return err
		}
		go func() { taken <- other.Update(t.Context(), take) }()
		for range 3 {
			awaitWaiter(t, watcher)
			if _, err := watcher.Exec(t.Context(), "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted"); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, <-taken); err != nil {
		t.Fatal(err)
	}
	err = store.View(t.Context(), func(tx core.Tx) error {
		if l, err := tx.Lease("n"); err != nil || l.Generation != 3 {
			t.Errorf("lease %+v, %v; want generation 3", l, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
