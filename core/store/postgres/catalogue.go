package postgres

import (
	"iter"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// Pools and images: few, and small; a document each.

func (t *tx) Pool(name string) (core.Pool, error) {
	p, found, err := document[core.Pool](t, "read a pool", "pools", "name", name)
	if err == nil && !found {
		err = record.NoPool(name)
	}
	return p, err
}

func (t *tx) Pools() iter.Seq2[core.Pool, error] {
	return list(t, "list pools", record.Document[core.Pool], "SELECT document FROM pools ORDER BY name")
}

func (t *tx) PutPool(p core.Pool) error {
	return t.putDocument("store a pool", "pools", "name", p.Name, p)
}

func (t *tx) DeletePool(name string) error {
	rows, err := t.deleteDocument("delete a pool", "pools", name)
	if err == nil && rows == 0 {
		return record.NoPool(name)
	}
	return err
}

func (t *tx) Image(name string) (core.Image, error) {
	i, found, err := document[core.Image](t, "read an image", "images", "name", name)
	if err == nil && !found {
		err = record.NoImage(name)
	}
	return i, err
}

func (t *tx) Images() iter.Seq2[core.Image, error] {
	return list(t, "list images", record.Document[core.Image], "SELECT document FROM images ORDER BY name")
}

func (t *tx) PutImage(i core.Image) error {
	return t.putDocument("store an image", "images", "name", i.Name, i)
}

func (t *tx) DeleteImage(name string) error {
	rows, err := t.deleteDocument("delete an image", "images", name)
	if err == nil && rows == 0 {
		return record.NoImage(name)
	}
	return err
}

// deleteDocument deletes what others may be about to use.
func (t *tx) deleteDocument(op, table, name string) (int64, error) {
	there, err := t.read(op, "SELECT true FROM "+table+" WHERE name = $1", []any{text(name)}, new(bool))
	if err != nil || !there {
		return 0, err
	}
	if err := t.needAlone(); err != nil {
		return 0, err
	}
	delete(t.seen, documentOf(table, name))
	return t.write(op, "DELETE FROM "+table+" WHERE name = $1", text(name))
}
