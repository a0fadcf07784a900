package open

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// What somebody wrote to the database behind metalpool's back is found, whatever it broke.
func TestCheckFindsWhatIsPlantedInADatabase(t *testing.T) {
	for _, test := range []struct{ name, sql, invariant, what string }{
		{"nothing", "SELECT", "", ""},
		{"a node with an owner that is not there", "UPDATE nodes SET allocation = 'ghost' WHERE id = 'used'", "OneOwner", "belongs to an allocation that is not there"},
		{"two owners", "DROP INDEX allocations_one_owner; INSERT INTO allocations (id, owner, name, pool, state, live, reason, node, version, created, deadline, ended, document) SELECT 'a-2', 'bob', name, pool, state, live, reason, node, version, created, deadline, ended, document FROM allocations WHERE id = 'a-used'", "OneOwner", "holds the node that"},
		{"a node that was given out unclean", "UPDATE nodes SET state = 'Available' WHERE id = 'apart'", "CleanBeforeAvailable", "not verifiably erased"},
		{"an allocation that is gone", "DELETE FROM allocations WHERE id = 'a-used'", "OneOwner", "not there or has ended"},
		{"a node that is gone", "DELETE FROM nodes WHERE id = 'used'", "NothingLost", "not in the inventory"},
		{"work that nobody can go on with", "DELETE FROM attempts WHERE id = 'c-1'", "NothingLost", "without an attempt"},
		{"work that nobody does", "UPDATE nodes SET since = since - 7200000000 WHERE id = 'cleaning'; UPDATE leases SET expires = expires - 7200000000 WHERE node = 'cleaning'", "Overdue", "nobody has worked on it since"},
		{"another secret", "UPDATE inventory SET spec = regexp_replace(spec, '\"secret\":\"....', '\"secret\":\"AAAA') WHERE node = 'free'", "NoSecretLeaks", "the BMC's password cannot be read"},
		{"a generation that went back", "UPDATE leases SET generation = 1 WHERE node = 'used'", "Fence", "its lease is of generation 1"},
		{"a state that no event led to", "UPDATE nodes SET state = 'Maintenance' WHERE id = 'free'", "Story", "its last event left it Available"},
		{"a table that lacks rows", "DELETE FROM inventory WHERE node = 'free'", "WholeStore", "the node free has no row in the inventory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			address, _ := inPostgres(t)
			conn, err := pgx.Connect(t.Context(), address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			if _, err := conn.Exec(t.Context(), test.sql); err != nil {
				t.Fatal(err)
			}
			e, _, _ := opened(t, address)
			found, err := e.Verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			told := test.invariant == "" && len(found) == 0
			for _, v := range found {
				told = told || v.Invariant == test.invariant && strings.Contains(v.What, test.what) && v.Next != ""
			}
			if !told {
				t.Errorf("found %v; want %s: %s", found, test.invariant, test.what)
			}
		})
	}
}
