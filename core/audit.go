package core

import (
	"context"
	"time"
)

// AuditEntry is one line of who did what through a server, or to who may. There are two
// of a write: one before it is begun, and one with what became of it.
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
