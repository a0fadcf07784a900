package storetest

import (
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/filled"
)

// collection is a set of things kept whole under their names.
type collection[T any] struct {
	name   func(*T) *string
	get    func(core.Tx, string) (T, error)
	list   func(core.Tx) iter.Seq2[T, error]
	put    func(core.Tx, T) error
	remove func(core.Tx, string) error
}

func (c collection[T]) run(t *testing.T, store core.Store) {
	full := filled.Value[T](t)
	*c.name(&full) = "b"
	var bare T
	*c.name(&bare) = "a"
	update(t, store, func(tx core.Tx) error {
		_, err := c.get(tx, "b")
		wantKind(t, err, core.NotFound)
		if err == nil || !strings.Contains(err.Error(), `"b"`) {
			t.Errorf("%v does not name what was asked for", err)
		}
		wantKind(t, c.remove(tx, "b"), core.NotFound)
		return errors.Join(c.put(tx, full), c.put(tx, bare))
	})
	get := func(name string) T {
		t.Helper()
		return read(t, store, func(tx core.Tx) (T, error) { return c.get(tx, name) })
	}
	list := func() []T {
		t.Helper()
		return read(t, store, func(tx core.Tx) ([]T, error) { return drain(c.list(tx)) })
	}
	same(t, "full", get("b"), full)
	same(t, "bare", get("a"), bare)
	same(t, "list", list(), []T{bare, full})

	emptied := bare
	*c.name(&emptied) = "b"
	update(t, store, func(tx core.Tx) error { return errors.Join(c.put(tx, emptied), c.remove(tx, "a")) })
	same(t, "put again, and one removed", list(), []T{emptied})
}
