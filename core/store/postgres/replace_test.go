package postgres_test

import (
	"errors"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/postgres"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// A View that is under way sees what was there to its end; a replacement that fails is
// none; and what is written to the new content is numbered after the old one's.
func TestReplace(t *testing.T) {
	store, err := postgres.Open(t.Context(), pgtest.Shared(t).Fresh(t), postgres.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	pools := func(tx core.Tx) (names string) {
		for p, err := range tx.Pools() {
			if err != nil {
				t.Error(err)
			}
			names += p.Name
		}
		return names
	}
	last := func() (seq int64) {
		err := store.View(t.Context(), func(tx core.Tx) error {
			for ev, err := range tx.Events(core.EventFilter{}) {
				if err != nil {
					return err
				}
				seq = ev.Seq
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return seq
	}
	write := func(tx core.Tx) error {
		return errors.Join(tx.PutPool(core.Pool{Name: "old"}), tx.AddEvent(core.Event{}))
	}
	for range 3 {
		if err := store.Update(t.Context(), write); err != nil {
			t.Fatal(err)
		}
	}
	before := last()
	as := core.StoreInfo{PoolID: "another"}
	broken := errors.New("it breaks")
	kept := ""
	keep := func(tx core.Tx) error { kept = pools(tx); return nil } //nolint:unparam // Replace may be refused by it
	put := func(tx core.Tx) error {
		return errors.Join(tx.PutPool(core.Pool{Name: "new"}), tx.AddEvent(core.Event{Seq: 1}))
	}
	if err := store.Replace(t.Context(), as, keep, func(tx core.Tx) error { return errors.Join(put(tx), broken) }); !errors.Is(err, broken) || kept != "old" {
		t.Errorf("kept %q, %v", kept, err)
	}
	if err := store.Replace(t.Context(), as, func(core.Tx) error { return broken }, put); !errors.Is(err, broken) {
		t.Errorf("it was not kept: %v", err)
	}
	err = store.View(t.Context(), func(tx core.Tx) error {
		if got := pools(tx); got != "old" {
			t.Errorf("before it there is %q", got)
		}
		if err := store.Replace(t.Context(), as, keep, put); err != nil {
			t.Error(err)
		}
		if got := pools(tx); got != "old" {
			t.Errorf("a view under way sees %q", got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := store.View(t.Context(), func(tx core.Tx) error { kept = pools(tx); return nil }); err != nil || kept != "new" {
		t.Errorf("after it there is %q, %v", kept, err)
	}
	if err := store.Update(t.Context(), write); err != nil {
		t.Fatal(err)
	}
	if got := last(); got <= before {
		t.Errorf("an event after it has the number %d, and one before it had %d", got, before)
	}
}
