package core

import (
	"errors"
	"fmt"
	"time"
)

// Lease is the short right to work on a node. It is never ownership. Its
// generation only grows: who holds an older one must stop.
type Lease struct {
	Node       NodeID    `json:"node"`
	Holder     string    `json:"holder"` // host/pid/nonce; "" when nobody works
	Generation uint64    `json:"generation"`
	Expires    time.Time `json:"expires"`
}

// Free reports whether somebody else may take the lease: nobody holds it, or it
// lapsed at least grace ago (one call timeout, so that a last call has ended).
func (l Lease) Free(now time.Time, grace time.Duration) bool {
	return l.Holder == "" || !now.Before(l.Expires.Add(grace))
}

// lost says why a lease is not held any more, where the store has now instead; nil: it is.
func (l Lease) lost(there Lease, now time.Time) error {
	switch {
	case there.Generation != l.Generation && there.Holder == "":
		return fmt.Errorf("it was given back as generation %d, ours was %d", there.Generation, l.Generation)
	case there.Generation != l.Generation:
		return fmt.Errorf("%s has generation %d, ours was %d", processOf(there.Holder), there.Generation, l.Generation)
	case there.Holder != l.Holder:
		return errors.New("it was given back")
	case !now.Before(there.Expires):
		return fmt.Errorf("it lapsed %s ago and was not renewed: this process was held up, or the store", now.Sub(there.Expires).Round(time.Second))
	}
	return nil
}
