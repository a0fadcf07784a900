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

const insertAudit = "INSERT INTO audit (seq, at, who, document) VALUES ($1, $2, $3, $4)"

func (t *tx) AddAudit(e core.AuditEntry) (err error) {
	const op = "store an audit entry"
	if e.Seq, err = t.number(op); err != nil {
		return err
	}
	e.At = t.now
	row, err := auditRow(e)
	if err != nil {
		return broken(op, err)
	}
	return t.hold(op, insertAudit, row...)
}

func auditRow(e core.AuditEntry) ([]any, error) {
	document, err := json.Marshal(e)
	return []any{e.Seq, stamp(e.At), text(e.Who), string(document)}, err
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
