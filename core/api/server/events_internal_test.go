package server

import (
	"context"
	"testing"

	"github.com/metalpool/metalpool/core"
)

type anyPool = Pool // by a name that none of its methods has

// asked is a pool that keeps what was asked of it.
type asked struct {
	anyPool
	filters []core.EventFilter
}

func (a *asked) Events(_ context.Context, f core.EventFilter) ([]core.Event, error) {
	a.filters = append(a.filters, f)
	return nil, nil
}

// Who may know of his own machines alone has no other's events read for him: with -f he
// asks twice a second, and a pool may have a million.
func TestNobodyElsesEventsAreReadForAUser(t *testing.T) {
	pool := &asked{}
	s := &Server{pool: pool}
	for role, want := range map[core.Role]string{core.RoleUser: "ann", core.RoleViewer: "", core.RoleOperator: ""} {
		pool.filters = nil
		p := principal{Token: core.Token{Name: "ann", Role: role, Pools: []string{"default"}}}
		if _, err := s.eventsFor(t.Context(), p, core.EventFilter{After: 7}); err != nil {
			t.Fatal(err)
		}
		if len(pool.filters) != 1 || pool.filters[0].Owner != want || pool.filters[0].After != 7 {
			t.Errorf("for a %s it asks for %+v", role, pool.filters)
		}
	}
}
