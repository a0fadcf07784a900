package sqlite_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/sqlite"
)

func TestSelfCheck(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, path string)
		says   string // "": nothing
	}{
		{"a whole store", func(*testing.T, string) {}, ""},
		{"a row of another that is gone", func(t *testing.T, path string) {
			tamper(t, path, "INSERT INTO identities (key, node) VALUES ('BMC x', 4711)")
		}, "a row of identities belongs to no row of nodes"},
		{"an index that lacks a row", func(t *testing.T, path string) {
			tamper(t, path, "PRAGMA writable_schema = 1", "DELETE FROM sqlite_schema WHERE name = 'nodes_by_state'")
		}, "never used"},
		{"a page of rubbish", func(t *testing.T, path string) {
			page, err := strconv.Atoi(query(t, path, "SELECT rootpage FROM sqlite_schema WHERE name = 'events'"))
			if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := 4096 * (page - 1); i < 4096*page; i++ {
				data[i] = 0xA5
			}
			write(t, path, data)
		}, "btreeInitPage"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := made(t, sqlite.Options{})
			test.damage(t, path)
			s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			violations, err := core.New(core.Config{Store: s}).Verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if (test.says == "") != (len(violations) == 0) {
				t.Fatalf("found %v", violations)
			}
			if test.says != "" && (violations[0].Invariant != "WholeStore" || !strings.Contains(violations[0].What, test.says)) {
				t.Errorf("found %v, want %q", violations, test.says)
			}
		})
	}
}
