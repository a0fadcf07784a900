package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

func TestWaitingEnds(t *testing.T) {
	path := made(t, sqlite.Options{})
	const patience = 20 * time.Millisecond
	open := func() core.Store {
		s, err := sqlite.Open(t.Context(), path, sqlite.Options{Patience: patience})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	wantBusy := func(t *testing.T, err error, says ...string) {
		t.Helper()
		if !core.Is(err, core.Busy) || errors.Is(err, core.ErrConflict) {
			t.Fatalf("got %v", err)
		}
		for _, part := range append(says, path) {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not say %q", err, part)
			}
		}
	}
	nothing := func(core.Tx) error { return nil }

	t.Run("for another store", func(t *testing.T) {
		holder, waiter := open(), open()
		err := holder.Update(t.Context(), func(core.Tx) error {
			wantBusy(t, waiter.Update(t.Context(), nothing), fmt.Sprintf("process %d", os.Getpid()))
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if err := waiter.Update(t.Context(), nothing); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
	t.Run("for another program", func(t *testing.T) {
		waiter := open()
		db, err := sql.Open("sqlite", path+"?_txlock=immediate")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		other, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		wantBusy(t, waiter.Update(t.Context(), nothing), "a program other than metalpool")
		if err := waiter.View(t.Context(), nothing); err != nil {
			t.Errorf("a reader waits for a writer: %v", err)
		}
		if err := other.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := waiter.Update(t.Context(), nothing); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
