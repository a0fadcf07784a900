package postgres_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/postgres"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// filledStore is a store with a node, an allocation and a few events.
func filledStore(t *testing.T, address string) {
	t.Helper()
	s, err := postgres.Open(t.Context(), address, postgres.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 20 {
		err := s.Update(t.Context(), func(tx core.Tx) error {
			if i > 0 {
				return tx.AddEvent(core.Event{Type: core.Note, Message: strings.Repeat("x", 400)})
			}
			n := core.Node{ID: "n", State: core.Available, Pool: core.DefaultPool, Version: 1}
			n.Spec.BMC = core.Endpoint{Backend: "redfish", URL: "https://127.0.0.1:1"}
			return tx.InsertNode(n)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// damage is what SelfCheck finds.
func damage(t *testing.T, address string) []string {
	t.Helper()
	s, err := postgres.Open(t.Context(), address, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	found, err := s.SelfCheck(t.Context())
	if err != nil {
		t.Error(err)
	}
	return found
}

func TestSelfCheck(t *testing.T) {
	for _, test := range []struct {
		name string
		sql  []string
		says string // "": nothing
	}{
		{"a whole store", nil, ""},
		{"an identity of nobody", []string{"SET session_replication_role = replica", "INSERT INTO identities VALUES ('serial x', 'ghost')"}, "the identity serial x is of ghost, which is no node"},
		{"a node without its inventory", []string{"DELETE FROM inventory"}, "the node n has no row in the inventory"},
		{"an inventory of nobody", []string{"SET session_replication_role = replica", "DELETE FROM nodes"}, "the inventory has n, which is no node"},
		{"no unique index", []string{"DROP INDEX allocations_one_owner"}, "the unique index allocations_one_owner is missing"},
		{"no primary key", []string{"ALTER TABLE events DROP CONSTRAINT events_pkey"}, "the unique index events_pkey is missing"},
		{"an index that is not valid", []string{"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'events_by_node'::regclass"}, "events_by_node of "},
		{"numbers that went back", []string{"SELECT setval('numbers', 3)"}, "the sequence numbers stands at 3, and 20 is taken"},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := pgtest.Shared(t).Fresh(t)
			filledStore(t, address)
			behind(t, address, test.sql...)
			if found := damage(t, address); (test.says == "") != (len(found) == 0) || !strings.Contains(strings.Join(found, "\n"), test.says) {
				t.Errorf("found %q, want %q", found, test.says)
			}
		})
	}
}

// What is wrong on the disk is found by reading all of it, with the server's checksums or
// without, and by amcheck what reads well and does not fit.
func TestSelfCheckReadsTheDisk(t *testing.T) {
	for _, test := range []struct {
		name, relation string
		prepare        []string
		spoil          func(page []byte)
		says           string
	}{
		{"a page of rubbish", "events", nil, func(page []byte) {
			for i := range page {
				page[i] = 0xA5
			}
		}, "invalid page in block "},
		{"an index that leads elsewhere", "events_pkey", []string{"CREATE EXTENSION amcheck"}, func(page []byte) {
			// The first two entries of a leaf change places: their line pointers do.
			for i := range 4 {
				page[24+i], page[28+i] = page[28+i], page[24+i]
			}
		}, "item order invariant violated"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := pgtest.Own(t)
			database := server.Database(t)
			address := server.URL(database)
			filledStore(t, address)
			server.Exec(t, database, test.prepare...)
			if found := damage(t, address); len(found) > 0 {
				t.Fatalf("a whole store: %q", found)
			}
			var file string
			if err := connect(t, address).QueryRow(t.Context(), "SELECT pg_relation_filepath($1::regclass)", test.relation).Scan(&file); err != nil {
				t.Fatal(err)
			}
			if err := server.Stop(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			spoilPage(t, filepath.Join(server.Data(), file), test.spoil)
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			if found := damage(t, address); !strings.Contains(strings.Join(found, "\n"), test.says) {
				t.Errorf("found %q, want %q", found, test.says)
			}
			s, err := postgres.Open(t.Context(), address, postgres.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if found, err := core.New(core.Config{Store: s}).Verify(t.Context()); err != nil || len(found) == 0 || found[0].Invariant != "WholeStore" {
				t.Errorf("Verify says %v, %v", found, err)
			}
		})
	}
}

// spoilPage changes the last page of a file.
func spoilPage(t *testing.T, file string, spoil func(page []byte)) {
	t.Helper()
	const size = 8192
	data, err := os.ReadFile(file)
	if err != nil || len(data)%size != 0 || len(data) == 0 {
		t.Fatalf("%s has %d bytes, %v", file, len(data), err)
	}
	first := 0
	if len(data) > size { // an index begins with a page about itself
		first = len(data) - size
	}
	spoil(data[first : first+size])
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", file, err))
	}
}
