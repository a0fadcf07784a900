package record

import (
	"fmt"

	"github.com/metalpool/metalpool/core"
)

// LeaseColumns are what Lease reads.
const LeaseColumns = "node, holder, generation, expires"

// Lease reads a row of LeaseColumns.
func Lease(row Row) (core.Lease, error) {
	var l core.Lease
	var generation, expires int64
	err := row.Scan(&l.Node, &l.Holder, &generation, &expires)
	l.Generation, l.Expires = uint64(generation), Moment(expires)
	return l, err
}

// Grows refuses a lease whose generation would go back.
func Grows(op string, l core.Lease, before uint64) error {
	if l.Generation < before {
		return Broken(op, fmt.Errorf("generation %d of node %s would go back to %d", before, l.Node, l.Generation))
	}
	return nil
}

// NoAttempt says that there is none with that ID.
func NoAttempt(id core.AttemptID) error {
	return &core.Error{Op: "find", Kind: core.NotFound, Err: fmt.Errorf("there is no attempt %q", id)}
}

// OwnerColumns are what Owner reads.
const OwnerColumns = "name, seen"

// Owner reads a row of OwnerColumns.
func Owner(row Row) (core.Owner, error) {
	var o core.Owner
	var seen int64
	err := row.Scan(&o.Name, &seen)
	o.Seen = Moment(seen)
	return o, err
}
