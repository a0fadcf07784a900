//go:build bench

package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/postgres"
	"github.com/metalpool/metalpool/core/storetest"
	"github.com/metalpool/metalpool/internal/bench"
	"github.com/metalpool/metalpool/internal/ironictest"
	"github.com/metalpool/metalpool/internal/pgtest"
)

const (
	benchClients = 16
	benchNodes   = 10_000
	benchRounds  = 5
	benchPeriod  = 3 * time.Second
)

// TestBenchAcquire compares acquire + release with transactions that write the same rows
// by IDs that they know, and do nothing else, from as many clients.
func TestBenchAcquire(t *testing.T) {
	server := pgtest.Own(t) // which waits for its disk
	large, bare := filled(t, server, benchNodes)
	acquire := core.New(core.Config{Store: large})
	var all, few, pairs []float64
	var told []string
	scarce, _ := filled(t, server, benchClients+4)
	crowded := core.New(core.Config{Store: scarce})
	for range benchRounds {
		base := rate(t, bare)
		got := rate(t, func(ctx context.Context, _ int) error { return storetest.AcquireRelease(ctx, acquire) })
		tight := rate(t, func(ctx context.Context, _ int) error { return storetest.AcquireRelease(ctx, crowded) })
		all, few, pairs = append(all, got/base), append(few, tight/got), append(pairs, got)
		told = append(told, fmt.Sprintf("%.0f bare, %.0f acquire+release, %.0f of %d nodes", base, got, tight, benchClients+4))
	}
	bench.Record(t, bench.Result{Name: fmt.Sprintf("PostgreSQL: acquire+release, 10,000 nodes, %d clients", benchClients), Value: bench.Median(all), Op: ">=", Bound: 0.3, Unit: "×", Against: "bare transactions that write the same rows"})
	bench.Record(t, bench.Result{Name: fmt.Sprintf("PostgreSQL: the same on %d nodes", benchClients+4), Value: bench.Median(few), Op: ">=", Bound: 0.5, Unit: "×", Against: "on 10,000 nodes"})
	bench.Tell(t, "acquire+release on PostgreSQL, pairs per second from 16 clients:\n  "+strings.Join(told, "\n  "))
	besideIronic(t, bench.Median(pairs))
	storetest.NoneTwice(t, large)
	storetest.NoneTwice(t, scarce)
}

// besideIronic measures the real Ironic's allocations from as many clients, where that is
// installed: with few nodes, each asked for alone, which is the most it can do.
func besideIronic(t *testing.T, ours float64) {
	const name = "PostgreSQL: acquire+release, 16 clients, beside Ironic"
	if !ironictest.Installed() {
		bench.Tell(t, "!! NOT MEASURED: "+name+". Debian's Ironic is not installed here; tools/ironic.sh installs it.")
		return
	}
	ironic := ironictest.Start(t)
	ironic.Stock(t, benchClients+4)
	var count atomic.Int64
	theirs := rateFor(t, 20*time.Second, func(ctx context.Context, _ int) error {
		return ironic.AllocateAndFree(ctx, fmt.Sprintf("bench-%d", count.Add(1)))
	})
	bench.Record(t, bench.Result{Name: name, Value: ours / theirs, Op: ">=", Bound: 100, Unit: "×", Against: fmt.Sprintf("allocations of Debian's Ironic, its database in SQLite, %d nodes", benchClients+4)})
	bench.Tell(t, fmt.Sprintf("allocation taken and given back, pairs per second from %d clients: %.2f in Ironic (%d nodes, HTTP, SQLite), %.0f in the store on PostgreSQL (10,000 nodes, in the process)", benchClients, theirs, benchClients+4, ours))
}

// filled is a store with Available nodes, and what writes the rows of an acquire and a
// release there, behind its back.
func filled(t *testing.T, server *pgtest.Server, nodes int) (*postgres.Store, func(ctx context.Context, client int) error) {
	t.Helper()
	address := server.Fresh(t)
	store, err := postgres.Open(t.Context(), address, postgres.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.Update(t.Context(), func(tx core.Tx) error { return tx.InsertNode(storetest.BenchNode(0)) }); err != nil {
		t.Fatal(err)
	}
	// The others in the server itself: one by one they would take most of the time.
	behind(t, address,
		fmt.Sprintf("INSERT INTO nodes (id, pool, state, reason, suspect, allocation, attempt, erases, since, version, worth) SELECT 'node-' || lpad(i::text, 5, '0'), pool, state, reason, suspect, allocation, attempt, erases, since, version, worth FROM nodes, generate_series(1, %d) i", nodes-1),
		fmt.Sprintf("INSERT INTO inventory (node, spec, hardware) SELECT 'node-' || lpad(i::text, 5, '0'), spec, hardware FROM inventory, generate_series(1, %d) i", nodes-1))
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = benchClients
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	behind(t, address, "ANALYZE")
	var count atomic.Int64
	return store, func(ctx context.Context, client int) error {
		n := count.Add(1)
		return sameRows(ctx, pool, storetest.BenchNodeID(int(n*benchClients+int64(client))%nodes), n)
	}
}

// sameRows writes what an acquire and a release write.
func sameRows(ctx context.Context, pool *pgxpool.Pool, node core.NodeID, number int64) error {
	id, now := fmt.Sprintf(storetest.BarePrefix+"%d", number), time.Now().UnixMicro()
	step := func(from, to core.State, on core.Trigger, holder, allocation string, args ...any) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "UPDATE nodes SET state = $2, reason = '', suspect = false, allocation = $3, attempt = '', erases = 0, since = $4, version = version + 1 WHERE id = $1", string(node), string(to), holder, now); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, allocation, args...); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "INSERT INTO events (seq, tx, at, node, allocation, attempt, generation, type, before, after, trigger, step, message, bytes, process) VALUES (nextval('numbers'), 0, $1, $2, $3, '', 0, 'state', $4, $5, $6, '', '', 0, 'root@host/1')",
				now, string(node), id, string(from), string(to), string(on))
			return err
		})
	}
	const document = `{"request":{"pool":"default"}}`
	err := step(core.Available, core.Allocated, core.Claim, id, "INSERT INTO allocations (id, owner, name, pool, state, live, reason, node, version, created, deadline, ended, document) VALUES ($1, 'bench', $1, 'default', 'Allocated', true, '', $2, 0, $3, $3, 0, $4)", id, string(node), now, document)
	if err != nil {
		return err
	}
	return step(core.Allocated, core.Available, core.Release, "", "UPDATE allocations SET state = 'Released', live = false, ended = $2, document = $3, version = version + 1 WHERE id = $1", id, now, document)
}

// rate is how many pairs a second all clients do together.
func rate(t *testing.T, pair func(ctx context.Context, client int) error) float64 {
	t.Helper()
	rateFor(t, benchPeriod/10, pair) // connections and statements are there before it counts
	return rateFor(t, benchPeriod, pair)
}

func rateFor(t *testing.T, period time.Duration, pair func(ctx context.Context, client int) error) float64 {
	t.Helper()
	var pairs atomic.Int64
	var group errgroup.Group
	began := time.Now()
	for client := range benchClients {
		group.Go(func() error {
			for time.Since(began) < period {
				if err := pair(t.Context(), client); err != nil {
					return err
				}
				pairs.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return float64(pairs.Load()) / time.Since(began).Seconds()
}
