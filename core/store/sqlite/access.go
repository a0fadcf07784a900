package sqlite

import (
	"encoding/json"
	"errors"
	"iter"

	"github.com/metalpool/metalpool/core"
)

func (t *tx) Token(hash string) (core.Token, error) {
	token, found, err := document[core.Token](t, "read a token", "SELECT document FROM tokens WHERE hash = ?", hash)
	if err == nil && !found {
		err = &core.Error{Op: "find token", Kind: core.NotFound, Err: errors.New("no token has this digest"), Hint: "see 'metalpool token list'"}
	}
	return token, err
}

func (t *tx) Tokens() iter.Seq2[core.Token, error] {
	return list(t, "list tokens", scanDocument[core.Token], "SELECT document FROM tokens ORDER BY hash")
}

func (t *tx) PutToken(token core.Token) error {
	return t.putDocument("store a token", "INSERT INTO tokens (hash, document) VALUES (?1, ?2) ON CONFLICT (hash) DO UPDATE SET document = ?2", token.Hash, token)
}

func (t *tx) AddAudit(e core.AuditEntry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return broken("store an audit entry", err)
	}
	if t.imports != nil {
		if err := grow(&t.imports.audit, e.Seq); err != nil {
			return err
		}
		_, err = t.write(opImport, "INSERT INTO audit (seq, at, who, document) VALUES (?, ?, ?, ?)", e.Seq, stamp(e.At), e.Who, string(text))
		return err
	}
	_, err = t.write("store an audit entry", "INSERT INTO audit (at, who, document) VALUES (?, ?, ?)", stamp(t.now), e.Who, string(text))
	return err
}

func scanAudit(row scanner) (core.AuditEntry, error) {
	var (
		e       core.AuditEntry
		seq, at int64
		text    []byte
	)
	if err := row.Scan(&seq, &at, &text); err != nil {
		return e, err
	}
	err := json.Unmarshal(text, &e)
	e.Seq, e.At = seq, moment(at)
	return e, err
}

func (t *tx) Audit(f core.AuditFilter) iter.Seq2[core.AuditEntry, error] {
	where, args := conditions{}, []any{}
	if !f.Since.IsZero() {
		where.and("at >= ?")
		args = append(args, stamp(f.Since))
	}
	if f.Who != "" {
		where.and("who = ?")
		args = append(args, f.Who)
	}
	if f.After > 0 {
		where.and("seq > ?")
		args = append(args, f.After)
	}
	query := "SELECT seq, at, document FROM audit" + where.String() + " ORDER BY seq"
	if f.Limit > 0 {
		query = "SELECT * FROM (" + query + " DESC LIMIT ?) ORDER BY seq"
		args = append(args, f.Limit)
	}
	return list(t, "list audit entries", scanAudit, query, args...)
}
