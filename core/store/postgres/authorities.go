package postgres

import (
	"iter"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

func (t *tx) Authority(name string) (core.Authority, error) {
	a, found, err := document[core.Authority](t, "read a CA", "authorities", "name", name)
	if err == nil && !found {
		err = record.NoAuthority(name)
	}
	return a, err
}

func (t *tx) Authorities() iter.Seq2[core.Authority, error] {
	return list(t, "list CAs", record.Document[core.Authority], "SELECT document FROM authorities ORDER BY name")
}

func (t *tx) PutAuthority(a core.Authority) error {
	return t.putDocument("store a CA", "authorities", "name", a.Name, a)
}
