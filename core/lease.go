package core

import "time"

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
