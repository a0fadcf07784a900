package storetest

import (
	"context"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// OpenWith opens the store at address with the key of that fingerprint, and makes it
// where there is none.
type OpenWith func(ctx context.Context, address, key string) (core.Store, error)

// Sealing tests that a store whose key was changed is refused to all who have the one
// before, also to those who opened it earlier.
func Sealing(t *testing.T, address string, open OpenWith) {
	with := func(key string) core.Store {
		t.Helper()
		store, err := open(t.Context(), address, key)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		return store
	}
	nothing := func(core.Tx) error { return nil }
	before, changing, keyless := with("aaaa"), with("aaaa"), with("")
	same(t, "first", with("aaaa").Info().Sealing, core.Sealing{Fingerprint: "aaaa"})

	// What fails changes no key.
	failed := &core.Error{Kind: core.Internal}
	err := changing.Update(t.Context(), func(tx core.Tx) error {
		if err := tx.PutSealing(core.Sealing{Fingerprint: "cccc"}); err != nil {
			return err
		}
		return failed
	})
	wantKind(t, err, core.Internal)
	update(t, before, nothing)

	next := core.Sealing{Fingerprint: "bbbb", Digest: "c2VhbGVk"}
	update(t, changing, func(tx core.Tx) error { return tx.PutSealing(next) })
	for _, store := range []core.Store{before, changing} {
		ran := false
		late := func(core.Tx) error {
			ran = true
			return nil
		}
		for _, err := range []error{store.Update(t.Context(), late), store.View(t.Context(), late)} {
			wantKind(t, err, core.Denied)
			if err != nil && (!strings.Contains(err.Error(), "aaaa") || !strings.Contains(err.Error(), "bbbb")) {
				t.Errorf("%v does not name both keys", err)
			}
		}
		if ran {
			t.Error("the function was run")
		}
	}
	update(t, keyless, nothing) // who seals nothing needs none
	if _, err := open(t.Context(), address, "aaaa"); !core.Is(err, core.Denied) {
		t.Errorf("opened with the key before: %v", err)
	}
	after := with("bbbb")
	update(t, after, nothing)
	same(t, "next", after.Info().Sealing, next)
}
