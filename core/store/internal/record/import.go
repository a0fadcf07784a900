package record

import "fmt"

// OpImport is what an Import is called in errors.
const OpImport = "copy into the store"

// Imported are the tables of what a store holds, but for what belongs to their rows.
var Imported = []string{"nodes", "leases", "allocations", "attempts", "events", "audit", "pools", "images", "steps", "profiles", "tokens", "owners", "authorities"}

// Numbers are those of history that were imported last.
type Numbers struct{ Event, Audit int64 }

// Grow takes seq as the next number of a kind.
func Grow(last *int64, seq int64) error {
	if seq <= *last {
		return Broken(OpImport, fmt.Errorf("numbers must grow: %d after %d", seq, *last))
	}
	*last = seq
	return nil
}
