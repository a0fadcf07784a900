package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/filled"
)

func (s suite) tokens(t *testing.T) {
	store := s.make(t)
	full, bare := filled.Value[core.Token](t), core.Token{Hash: "a"}
	full.Hash = "b"
	update(t, store, func(tx core.Tx) error {
		_, err := tx.Token("b")
		wantKind(t, err, core.NotFound)
		return errors.Join(tx.PutToken(full), tx.PutToken(bare))
	})
	get := func(hash string) core.Token {
		t.Helper()
		return read(t, store, func(tx core.Tx) (core.Token, error) { return tx.Token(hash) })
	}
	same(t, "full", get("b"), full)
	same(t, "bare", get("a"), bare)
	revoked := full
	revoked.RevokedAt = full.RevokedAt.Add(time.Hour)
	update(t, store, func(tx core.Tx) error { return tx.PutToken(revoked) })
	same(t, "put again", get("b"), revoked)
	all := read(t, store, func(tx core.Tx) ([]core.Token, error) { return drain(tx.Tokens()) })
	same(t, "list", all, []core.Token{bare, revoked})
}

func (s suite) audit(t *testing.T) {
	store := s.make(t)
	full := filled.Value[core.AuditEntry](t)
	var now time.Time
	update(t, store, func(tx core.Tx) error {
		now = tx.Now()
		return errors.Join(tx.AddAudit(core.AuditEntry{Who: "ann", What: "1"}), tx.AddAudit(full))
	})
	update(t, store, func(tx core.Tx) error { return tx.AddAudit(core.AuditEntry{Who: "ann", What: "3"}) })
	list := func(f core.AuditFilter) []core.AuditEntry {
		t.Helper()
		return read(t, store, func(tx core.Tx) ([]core.AuditEntry, error) { return drain(tx.Audit(f)) })
	}
	all := list(core.AuditFilter{})
	if len(all) != 3 || all[1].Seq <= all[0].Seq || all[2].Seq <= all[1].Seq {
		t.Fatalf("got %+v, want 3 in order", all)
	}
	want := full
	want.Seq, want.At = all[1].Seq, now // whatever they were
	same(t, "read back", all[1], want)
	for _, c := range []struct {
		name   string
		filter core.AuditFilter
		want   []core.AuditEntry
	}{
		{"somebody's", core.AuditFilter{Who: "ann"}, []core.AuditEntry{all[0], all[2]}},
		{"since it began", core.AuditFilter{Since: now}, all},
		{"since after it", core.AuditFilter{Since: all[2].At.Add(time.Microsecond)}, nil},
		{"after", core.AuditFilter{After: all[1].Seq}, all[2:]},
		{"the last", core.AuditFilter{Limit: 1}, all[2:]},
		{"somebody's last", core.AuditFilter{Who: "ann", Limit: 1}, all[2:]},
		{"nobody's", core.AuditFilter{Who: "bob"}, nil},
	} {
		same(t, c.name, list(c.filter), c.want)
	}
}
