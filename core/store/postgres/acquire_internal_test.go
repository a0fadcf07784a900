package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// fleet is how many nodes there are: n0, n1 and so on.
const fleet = 10

// traced opens a fresh store with one connection, and counts its round trips.
func traced(t *testing.T) (*Store, *trips) {
	t.Helper()
	s, err := Open(t.Context(), pgtest.Shared(t).Fresh(t), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	s.pool.Close()
	n := &trips{}
	config := s.config()
	config.MaxConns, config.ConnConfig.Tracer = 1, n
	if s.pool, err = pgxpool.NewWithConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	err = s.Update(t.Context(), func(tx core.Tx) error {
		for i := range fleet {
			if err := tx.InsertNode(core.Node{ID: core.NodeID(fmt.Sprintf("n%d", i)), Pool: core.DefaultPool, State: core.Available, Version: 1}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, n
}

// trips are round trips to the server, but for the first use of each statement.
type trips struct{ asked []string }

func (n *trips) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	n.asked = append(n.asked, q.SQL)
	return ctx
}

func (n *trips) TraceBatchStart(ctx context.Context, _ *pgx.Conn, b pgx.TraceBatchStartData) context.Context {
	texts := []string{"together"}
	for _, q := range b.Batch.QueuedQueries {
		texts = append(texts, q.SQL)
	}
	n.asked = append(n.asked, strings.Join(texts, "; "))
	return ctx
}

// taken are the round trips since it was asked last.
func (n *trips) taken() []string {
	asked := n.asked
	n.asked = nil
	return asked
}

// justLooked has the store have looked just now whether each node's story is too long: it
// does so after any event of the first.
func justLooked(s *Store) {
	for i := range fleet {
		var one record.Growth
		one.Add(core.Event{Node: core.NodeID(fmt.Sprintf("n%d", i))})
		for s.stories.Grown(one) == nil {
		}
	}
}

func (*trips) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData)     {}
func (*trips) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (*trips) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// An acquire waits for the server as often as it has something to decide, and a release too.
func TestRoundTripsOfAnAcquire(t *testing.T) {
	store, trips := traced(t)
	justLooked(store)
	engine := core.New(core.Config{Store: store})
	for i := range 3 { // that the owner is there is written down by the first
		id := core.AllocationID(fmt.Sprintf("a%d", i))
		trips.taken()
		if _, err := engine.Acquire(t.Context(), core.Order{ID: id, Owner: "o", Name: string(id)}, nil); err != nil {
			t.Fatal(err)
		}
		acquire := trips.taken()
		if err := engine.Release(t.Context(), id, core.ReleaseOptions{}, nil); err != nil {
			t.Fatal(err)
		}
		// Begin, ID, name, pool, queue, candidates, node, allocation, commit.
		if release := trips.taken(); i > 0 && (len(acquire) > 9 || len(release) > 6) {
			t.Errorf("an acquire takes %d round trips, and a release %d; want at most 9 and 6\n%s\n\n%s", len(acquire), len(release), strings.Join(acquire, "\n"), strings.Join(release, "\n"))
		}
	}
}

// The server plans each statement on the way of an acquire a few times, and then for good:
// to plan the search for a candidate takes longer than to run it.
func TestPlannedForGood(t *testing.T) {
	store, _ := traced(t)
	engine := core.New(core.Config{Store: store})
	const runs = 20
	for i := range runs {
		id := core.AllocationID(fmt.Sprintf("a%d", i))
		if _, err := engine.Acquire(t.Context(), core.Order{ID: id, Owner: "o", Name: string(id)}, nil); err != nil {
			t.Fatal(err)
		}
		if err := engine.Release(t.Context(), id, core.ReleaseOptions{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := store.pool.Query(t.Context(), "SELECT statement, generic_plans, custom_plans FROM pg_prepared_statements WHERE generic_plans + custom_plans >= $1", runs)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	var statement string
	var good, anew int
	_, err = pgx.ForEachRow(rows, []any{&statement, &good, &anew}, func() error {
		if seen++; anew > 5 {
			t.Errorf("planned anew %d times of %d: %s", anew, good+anew, statement)
		}
		return nil
	})
	if err != nil || seen < 10 {
		t.Errorf("%d statements were run so often, %v; want those of an acquire and a release", seen, err)
	}
}

// What is there is locked by its row: a transaction may read more of it than the server has
// room for locks on keys.
func TestKeysOfWhatIsThereAreNotLocked(t *testing.T) {
	store, _ := traced(t)
	locks := func(id core.AllocationID) (held int) {
		t.Helper()
		err := store.Update(t.Context(), func(transaction core.Tx) error {
			if _, err := transaction.Allocation(id); err != nil && !core.Is(err, core.NotFound) {
				return err
			}
			return transaction.(*tx).conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()").Scan(&held)
		})
		if err != nil {
			t.Fatal(err)
		}
		return held
	}
	absent := locks("a")
	err := store.Update(t.Context(), func(tx core.Tx) error {
		return tx.InsertAllocation(core.Allocation{ID: "a", Owner: "o", Name: "a", State: core.Waiting})
	})
	if err != nil {
		t.Fatal(err)
	}
	if there := locks("a"); absent != 2 || there != 1 {
		t.Errorf("%d locks are held for an ID that is not there, and %d for one that is; want 2 and 1", absent, there)
	}
}
