package sqlite

import (
	"encoding/json"
	"iter"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

func (t *tx) Token(hash string) (core.Token, error) {
	token, found, err := document[core.Token](t, "read a token", "SELECT document FROM tokens WHERE hash = ?", hash)
	if err == nil && !found {
		err = record.NoToken()
	}
	return token, err
}

func (t *tx) Tokens() iter.Seq2[core.Token, error] {
	return list(t, "list tokens", record.Document[core.Token], "SELECT document FROM tokens ORDER BY hash")
}

func (t *tx) PutToken(token core.Token) error {
	return t.putDocument("store a token", "INSERT INTO tokens (hash, document) VALUES (?1, ?2) ON CONFLICT (hash) DO UPDATE SET document = ?2", token.Hash, token)
}

func (t *tx) AddAudit(e core.AuditEntry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return record.Broken("store an audit entry", err)
	}
	if t.imports != nil {
		if err := record.Grow(&t.imports.Audit, e.Seq); err != nil {
			return err
		}
		_, err = t.write(record.OpImport, "INSERT INTO audit (seq, at, who, document) VALUES (?, ?, ?, ?)", e.Seq, record.Stamp(e.At), e.Who, string(text))
		return err
	}
	_, err = t.write("store an audit entry", "INSERT INTO audit (at, who, document) VALUES (?, ?, ?)", record.Stamp(t.now), e.Who, string(text))
	return err
}

func (t *tx) Audit(f core.AuditFilter) iter.Seq2[core.AuditEntry, error] {
	var where record.Where
	if !f.Since.IsZero() {
		where.And("at >= ?%d", record.Stamp(f.Since))
	}
	if f.Who != "" {
		where.And("who = ?%d", f.Who)
	}
	return numbered(t, "list audit entries", record.Audit, "SELECT "+record.AuditColumns+" FROM audit", where, span{after: f.After, last: f.Limit})
}
