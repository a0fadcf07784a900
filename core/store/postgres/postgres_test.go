package postgres_test

import (
	"context"
	"os"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/postgres"
	"github.com/metalpool/metalpool/core/storetest"
	"github.com/metalpool/metalpool/internal/pgtest"
)

func TestMain(m *testing.M) {
	storetest.Child(open)
	os.Exit(pgtest.Main(m))
}

func TestStore(t *testing.T) {
	server := pgtest.Shared(t)
	storetest.Run(t, func(t *testing.T) string { return server.Fresh(t) }, open)
}

func open(ctx context.Context, address string) (core.Store, error) {
	return postgres.Open(ctx, address, postgres.Options{Create: true})
}

func TestSealing(t *testing.T) {
	storetest.Sealing(t, pgtest.Shared(t).Fresh(t), func(ctx context.Context, address, key string) (core.Store, error) {
		return postgres.Open(ctx, address, postgres.Options{Create: true, KeyFingerprint: key})
	})
}
