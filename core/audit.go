package core

import (
	"context"
	"sync"
	"time"
)

// AuditEntry is one line of who did what through a server. There are two of a write: one
// that is committed with the first that it changes, and one with what became of it. Of a
// write that changed nothing there is the second alone.
type AuditEntry struct {
	Seq     int64        `json:"seq"` // grows in the store's order
	At      time.Time    `json:"at"`
	Who     string       `json:"who"`               // a token's name, or a process
	Token   string       `json:"token,omitempty"`   // its ID
	From    string       `json:"from,omitempty"`    // the address that it was asked from
	Request string       `json:"request,omitempty"` // the write's ID
	What    string       `json:"what"`              // the operation
	Subject string       `json:"subject,omitempty"` // whom or what it is about
	Reason  string       `json:"reason,omitempty"`  // why, where that was said
	Outcome AuditOutcome `json:"outcome"`
	Error   string       `json:"error,omitempty"`
}

// AuditOutcome is what becomes of a write.
type AuditOutcome string

const (
	AuditBegun   AuditOutcome = "begun"
	AuditDone    AuditOutcome = "done"
	AuditFailed  AuditOutcome = "failed"
	AuditDenied  AuditOutcome = "denied"
	AuditHandoff AuditOutcome = "handed over" // another server goes on
)

// AuditFilter selects entries; zero fields select all.
type AuditFilter struct {
	Since time.Time // not before
	Who   string
	After int64 // only Seq greater than this
	Limit int   // the last ones
	Whole bool  // as in EventFilter
}

// Record adds an entry. Seq and At are set by the store.
func (e *Engine) Record(ctx context.Context, entry AuditEntry) error {
	return e.store.Update(ctx, func(tx Tx) error { return tx.AddAudit(entry) })
}

// Audit lists entries in their order.
func (e *Engine) Audit(ctx context.Context, f AuditFilter) ([]AuditEntry, error) {
	var all []AuditEntry
	err := e.store.View(ctx, func(tx Tx) (err error) {
		all, err = collect(tx.Audit(f))
		return err
	})
	return all, err
}

type auditKey struct{}

// audited is an entry that waits for the first transaction.
type audited struct {
	entry AuditEntry

	mu        sync.Mutex // held until the first one has committed
	committed bool
}

// WithAudit has the first transaction that commits under the context commit the entry,
// too: there is no change without its line.
func WithAudit(ctx context.Context, entry AuditEntry) context.Context {
	return context.WithValue(ctx, auditKey{}, &audited{entry: entry})
}

// auditedStore is a store that heeds WithAudit, and whose own faults are known from those
// of what runs in it.
type auditedStore struct{ Store }

func (s auditedStore) View(ctx context.Context, fn func(tx Tx) error) error {
	var own error
	return markStore(s.Store.View(ctx, func(tx Tx) error {
		own = fn(tx)
		return own
	}), own)
}

func (s auditedStore) Update(ctx context.Context, fn func(tx Tx) error) error {
	var own error
	return markStore(s.update(ctx, func(tx Tx) error {
		own = fn(tx)
		return own
	}), own)
}

func (s auditedStore) update(ctx context.Context, fn func(tx Tx) error) error {
	a, asked := ctx.Value(auditKey{}).(*audited)
	if !asked {
		return s.Store.Update(ctx, fn)
	}
	a.mu.Lock()
	if a.committed {
		a.mu.Unlock()
		return s.Store.Update(ctx, fn)
	}
	defer a.mu.Unlock()
	err := s.Store.Update(ctx, func(tx Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return tx.AddAudit(a.entry)
	})
	a.committed = err == nil
	return err
}
