package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

var _ core.SelfChecker = (*Store)(nil)

// maxDamage is how many faults of one store are told: a page that is gone makes
// hundreds.
const maxDamage = 20

// SelfCheck reads the whole file and looks whether SQLite finds it as it should be.
func (s *Store) SelfCheck(ctx context.Context) ([]string, error) {
	var damage []string
	err := s.View(ctx, func(view core.Tx) error {
		t := view.(*tx)
		text := func(row record.Row) (line string, err error) { return line, row.Scan(&line) }
		for line, err := range list(t, "check the store", text, fmt.Sprintf("PRAGMA integrity_check(%d)", maxDamage)) {
			if err != nil {
				return err
			}
			for line := range strings.Lines(line) {
				if line = strings.TrimSpace(line); line != "ok" && !strings.HasPrefix(line, "***") { // a heading
					damage = append(damage, line)
				}
			}
		}
		orphan := func(row record.Row) (line string, err error) {
			var table, parent string
			var id sql.NullInt64 // of some tables
			var key int64
			err = row.Scan(&table, &id, &parent, &key)
			return fmt.Sprintf("a row of %s belongs to no row of %s", table, parent), err
		}
		for line, err := range list(t, "check the store", orphan, "PRAGMA foreign_key_check") {
			if err != nil {
				return err
			}
			damage = append(damage, line)
		}
		return nil
	})
	if core.Is(err, core.Invalid) { // so damaged that not all could be read
		if len(damage) == 0 {
			damage = append(damage, err.Error())
		}
		return damage, nil
	}
	return damage, err
}
