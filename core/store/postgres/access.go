package postgres

import (
	"encoding/json"
	"errors"
	"iter"

	"github.com/metalpool/metalpool/core"
)

func (t *tx) Token(hash string) (core.Token, error) {
	token, found, err := document[core.Token](t, "read a token", "tokens", "hash", hash)
	if err == nil && !found {
		err = &core.Error{Op: "find token", Kind: core.NotFound, Err: errors.New("no token has this digest"), Hint: "see 'metalpool token list'"}
	}
	return token, err
}

func (t *tx) Tokens() iter.Seq2[core.Token, error] {
	return list(t, "list tokens", scanDocument[core.Token], "SELECT document FROM tokens ORDER BY hash")
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
			return broken(opImport, err)
		}
		return t.take(&t.imports.audit, e.Seq, insertAudit, row)
	}
	e.At = t.now
	row, err := auditRow(t.id, nil, e)
	if err != nil {
		return broken(op, err)
	}
	return t.tell(op, insertAudit, row)
}

// auditRow is an entry as insertAudit takes it: under a number, or the next one.
func auditRow(tx int64, seq *int64, e core.AuditEntry) ([]any, error) {
	document, err := json.Marshal(e)
	return []any{tx, seq, stamp(e.At), text(e.Who), string(document)}, err
}

func scanAudit(row scanner) (core.AuditEntry, error) {
	var (
		e        core.AuditEntry
		seq, at  int64
		document string
	)
	if err := row.Scan(&seq, &at, &document); err != nil {
		return e, err
	}
	err := json.Unmarshal([]byte(document), &e)
	e.Seq, e.At = seq, moment(at)
	return e, err
}

func (t *tx) Audit(f core.AuditFilter) iter.Seq2[core.AuditEntry, error] {
	var where conditions
	if !f.Since.IsZero() {
		where.and("at >= $%d", stamp(f.Since))
	}
	if f.Who != "" {
		where.and("who = $%d", text(f.Who))
	}
	return numbered(t, "list audit entries", scanAudit, "SELECT seq, at, document FROM audit", where, f.After, f.Limit)
}
