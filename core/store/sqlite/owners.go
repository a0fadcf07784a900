package sqlite

import (
	"iter"

	"github.com/metalpool/metalpool/core"
)

const selectOwners = "SELECT name, seen FROM owners"

func scanOwner(row scanner) (core.Owner, error) {
	var o core.Owner
	var seen int64
	err := row.Scan(&o.Name, &seen)
	o.Seen = moment(seen)
	return o, err
}

func (t *tx) Owner(name string) (core.Owner, error) {
	for o, err := range list(t, "read an owner", scanOwner, selectOwners+" WHERE name = ?", name) {
		return o, err
	}
	return core.Owner{Name: name}, nil
}

func (t *tx) Owners() iter.Seq2[core.Owner, error] {
	return list(t, "list owners", scanOwner, selectOwners+" ORDER BY name")
}

func (t *tx) PutOwner(o core.Owner) error {
	_, err := t.write("store an owner", "INSERT INTO owners (name, seen) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET seen = ?2", o.Name, stamp(o.Seen))
	return err
}
