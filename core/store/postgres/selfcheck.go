package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

var _ core.SelfChecker = (*Store)(nil)

// maxDamage is how many faults of one kind are told: a page that is gone makes hundreds.
const maxDamage = 20

const opCheck = "check the store"

// SelfCheck looks whether the server finds the store's tables as they should be. Without
// an extension PostgreSQL offers less than SQLite: each row is read with all that it has,
// pages of which it found the checksum wrong are told, and what the schema promises is
// looked for in the rows themselves. Where the database has the extension amcheck, and
// this user may call it, tables and indexes are compared, too.
func (s *Store) SelfCheck(ctx context.Context) (damage []string, err error) {
	checks := []func(t *tx) ([]string, error){checksums, indexes, keys, belongings, numbering, compared}
	for _, table := range tables {
		checks = append(checks, func(t *tx) ([]string, error) { return legible(t, table) })
	}
	for _, check := range checks {
		var found []string
		// Each in a View of its own: what breaks ends the transaction.
		err := s.View(ctx, func(view core.Tx) (err error) {
			found, err = check(view.(*tx))
			return err
		})
		damage = append(damage, found...)
		var answer *pgconn.PgError
		switch {
		case errors.As(err, &answer) && strings.HasPrefix(answer.Code, "XX"): // which is how PostgreSQL says that data are damaged
			damage = append(damage, answer.Message)
		case err != nil:
			return damage, err
		}
	}
	slices.Sort(damage)
	return slices.Compact(damage), nil // of one page several may have told
}

// tables are all of a store, but for the migrations' own.
var tables = append([]string{"meta", "inventory", "identities", "marks"}, record.Imported...)

// lines are what a query yields as text.
func lines(t *tx, query string, args ...any) (found []string, err error) {
	text := func(row record.Row) (line string, err error) { return line, row.Scan(&line) }
	for line, err := range list(t, opCheck, text, query+fmt.Sprintf(" LIMIT %d", maxDamage), args...) {
		if err != nil {
			return found, err
		}
		found = append(found, line)
	}
	return found, nil
}

// legible reads all of a table, also what is kept apart since it is long.
func legible(t *tx, table string) ([]string, error) {
	_, err := t.read(opCheck, "SELECT coalesce(sum(length(x::text)), 0)::bigint FROM "+table+" x", nil, new(int64))
	return nil, err
}

func checksums(t *tx) ([]string, error) {
	return lines(t, `SELECT format('the server has read %s pages of the database whose checksum was wrong, the last one at %s', checksum_failures, checksum_last_failure)
		FROM pg_stat_database WHERE datname = current_database() AND checksum_failures > 0`)
}

// indexes looks for those that the server keeps and does not use, such as after a REINDEX
// that failed.
func indexes(t *tx) ([]string, error) {
	return lines(t, `SELECT format('the index %s of %s is not valid', i.indexrelid::regclass, i.indrelid::regclass)
		FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
		WHERE c.relnamespace = current_schema()::regnamespace AND NOT (i.indisvalid AND i.indisready) ORDER BY 1`)
}

// keys looks for what keeps rows from being there twice.
func keys(t *tx) ([]string, error) {
	unique := []string{"allocations_one_name", "allocations_one_owner"}
	for _, table := range tables {
		unique = append(unique, table+"_pkey")
	}
	return lines(t, `SELECT format('the unique index %s is missing: nothing keeps two rows from being the same', wanted)
		FROM unnest($1::text[]) wanted
		WHERE NOT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
			WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = wanted AND i.indisunique) ORDER BY 1`, unique)
}

// belongings looks for rows without those that they go with.
func belongings(t *tx) ([]string, error) {
	return lines(t, `SELECT format('the inventory has %s, which is no node', node) FROM inventory WHERE node NOT IN (SELECT id FROM nodes)
		UNION ALL SELECT format('the identity %s is of %s, which is no node', key, node) FROM identities WHERE node NOT IN (SELECT id FROM nodes)
		UNION ALL SELECT format('the node %s has no row in the inventory, so that nobody sees it', id) FROM nodes WHERE id NOT IN (SELECT node FROM inventory)`)
}

// numbering looks whether what is told next gets a number that is taken. A number may be
// drawn after the picture was taken, and never goes back.
func numbering(t *tx) ([]string, error) {
	return lines(t, `SELECT format('the sequence numbers stands at %s, and %s is taken: nothing can be written. SELECT setval(''numbers'', %s) mends it', last_value, taken, taken)
		FROM numbers, (SELECT greatest((SELECT max(seq) FROM events), (SELECT max(seq) FROM audit), (SELECT max(seq) FROM marks)) taken) all_kinds WHERE taken > last_value`)
}

// compared has the extension amcheck look, where it is there: at each table, and whether
// each index has all rows of its table in their order.
func compared(t *tx) ([]string, error) {
	var schema string
	there, err := t.read(opCheck, `SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
		WHERE CASE WHEN e.extname = 'amcheck' THEN has_function_privilege(format('%I.bt_index_check(regclass, boolean)', n.nspname), 'EXECUTE')
			AND has_function_privilege(format('%I.verify_heapam(regclass, boolean, boolean, text, bigint, bigint)', n.nspname), 'EXECUTE') END`, nil, &schema)
	if err != nil || !there {
		return nil, err
	}
	found, err := lines(t, fmt.Sprintf(`SELECT format('the table %%s, page %%s: %%s', c.oid::regclass, h.blkno, h.msg)
		FROM pg_class c, %s.verify_heapam(c.oid) h WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'`, schema))
	if err != nil {
		return found, err
	}
	// An index that is younger than the picture is left to the next check.
	for index, err := range list(t, opCheck, func(row record.Row) (oid uint32, err error) { return oid, row.Scan(&oid) }, `SELECT i.indexrelid FROM pg_index i
		JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
		WHERE c.relnamespace = current_schema()::regnamespace AND a.amname = 'btree' AND i.indisvalid AND NOT i.indcheckxmin`) {
		if err != nil {
			return found, err
		}
		t.held.Queue("SELECT "+schema+".bt_index_check($1::oid::regclass, true)", index)
	}
	return found, t.flush(opCheck)
}
