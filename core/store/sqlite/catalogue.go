package sqlite

import (
	"iter"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// Pools and images: few, and small; a document each.

func (t *tx) Pool(name string) (core.Pool, error) {
	p, found, err := document[core.Pool](t, "read a pool", "SELECT document FROM pools WHERE name = ?", name)
	if err == nil && !found {
		err = record.NoPool(name)
	}
	return p, err
}

func (t *tx) Pools() iter.Seq2[core.Pool, error] {
	return list(t, "list pools", record.Document[core.Pool], "SELECT document FROM pools ORDER BY name")
}

func (t *tx) PutPool(p core.Pool) error {
	return t.putDocument("store a pool", "INSERT INTO pools (name, document) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET document = ?2", p.Name, p)
}

func (t *tx) DeletePool(name string) error {
	rows, err := t.write("delete a pool", "DELETE FROM pools WHERE name = ?", name)
	if err == nil && rows == 0 {
		return record.NoPool(name)
	}
	return err
}

func (t *tx) Image(name string) (core.Image, error) {
	i, found, err := document[core.Image](t, "read an image", "SELECT document FROM images WHERE name = ?", name)
	if err == nil && !found {
		err = record.NoImage(name)
	}
	return i, err
}

func (t *tx) Images() iter.Seq2[core.Image, error] {
	return list(t, "list images", record.Document[core.Image], "SELECT document FROM images ORDER BY name")
}

func (t *tx) PutImage(i core.Image) error {
	return t.putDocument("store an image", "INSERT INTO images (name, document) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET document = ?2", i.Name, i)
}

func (t *tx) DeleteImage(name string) error {
	rows, err := t.write("delete an image", "DELETE FROM images WHERE name = ?", name)
	if err == nil && rows == 0 {
		return record.NoImage(name)
	}
	return err
}
