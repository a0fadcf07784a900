package postgres

import (
	"encoding/json"
	"iter"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

func (t *tx) Token(hash string) (core.Token, error) {
	token, found, err := document[core.Token](t, "read a token", "tokens", "hash", hash)
	if err == nil && !found {
		err = record.NoToken()
	}
	return token, err
}

func (t *tx) Tokens() iter.Seq2[core.Token, error] {
	return list(t, "list tokens", record.Document[core.Token], "SELECT document FROM tokens ORDER BY hash")
}

func (t *tx) PutToken(token core.Token) error {
	return t.putDocument("store a token", "tokens", "hash", token.Hash, token)
}

const insertAudit = "INSERT INTO audit (tx, seq, at, who, document) VALUES ($1, coalesce($2::bigint, nextval('numbers')), $3, $4, $5)"

func (t *tx) AddAudit(e core.AuditEntry) error {
	const op = "store an audit entry"
	if t.imports != nil {
		row, err := auditRow(0, &e.Seq, e)
		if err != nil {
			return record.Broken(record.OpImport, err)
		}
		return t.take(&t.imports.Audit, e.Seq, insertAudit, row)
	}
	e.At = t.now
	row, err := auditRow(t.id, nil, e)
	if err != nil {
		return record.Broken(op, err)
	}
	return t.tell(op, insertAudit, row)
}

// auditRow is an entry as insertAudit takes it: under a number, or the next one.
func auditRow(tx int64, seq *int64, e core.AuditEntry) ([]any, error) {
	document, err := json.Marshal(e)
	return []any{tx, seq, record.Stamp(e.At), text(e.Who), string(document)}, err
}

func (t *tx) Audit(f core.AuditFilter) iter.Seq2[core.AuditEntry, error] {
	var where record.Where
	if !f.Since.IsZero() {
		where.And("at >= $%d", record.Stamp(f.Since))
	}
	if f.Who != "" {
		where.And("who = $%d", text(f.Who))
	}
	return numbered(t, "list audit entries", record.Audit, "SELECT "+record.AuditColumns+" FROM audit", where, span{after: f.After, last: f.Limit, whole: f.Whole})
}
