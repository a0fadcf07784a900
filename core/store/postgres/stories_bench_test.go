//go:build bench

package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/metalpool/metalpool/core/store/postgres"
	"github.com/metalpool/metalpool/core/storetest"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// TestBenchStories holds a store full of events to its size, and to what it takes to read
// a node's.
func TestBenchStories(t *testing.T) {
	server := pgtest.Own(t)
	at := func() (*postgres.Store, string) {
		address := server.Fresh(t)
		s, err := postgres.Open(t.Context(), address, postgres.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s, address
	}
	full, address := at()
	alone, _ := at()
	storetest.BenchStories(t, "PostgreSQL", full, alone, func() (sum int64) {
		conn, err := pgx.Connect(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		err = conn.QueryRow(t.Context(), "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relkind IN ('r', 'S') AND relnamespace = current_schema()::regnamespace").Scan(&sum)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	})
}
