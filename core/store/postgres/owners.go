package postgres

import (
	"iter"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

const selectOwners = "SELECT " + record.OwnerColumns + " FROM owners"

func (t *tx) Owner(name string) (core.Owner, error) {
	o, found, err := one(t, "read an owner", record.Owner, selectOwners+" WHERE name = $1", text(name))
	if err == nil && !found {
		o = core.Owner{Name: name}
	}
	return o, err
}

func (t *tx) Owners() iter.Seq2[core.Owner, error] {
	return list(t, "list owners", record.Owner, selectOwners+" ORDER BY name")
}

func (t *tx) PutOwner(o core.Owner) error {
	_, err := t.write("store an owner", "INSERT INTO owners (name, seen) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET seen = excluded.seen", text(o.Name), record.Stamp(o.Seen))
	return err
}
