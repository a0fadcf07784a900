package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/metalpool/metalpool/core"
)

type anyPool = Pool // by a name that none of its methods has

// asked is a pool with so many events, the first of which has the number 1. It keeps what
// was asked of it, and something happens with each question.
type asked struct {
	anyPool
	events  int64
	happens int64
	filters []core.EventFilter
	most    int // that it was to tell at once
}

func (a *asked) Events(_ context.Context, f core.EventFilter) ([]core.Event, error) {
	a.filters = append(a.filters, f)
	first, last := f.After+1, a.events
	if f.Limit > 0 {
		first = max(first, last-int64(f.Limit)+1)
	}
	if f.First > 0 {
		last = min(last, first+int64(f.First)-1)
	}
	var events []core.Event
	for seq := first; seq <= last; seq++ {
		events = append(events, core.Event{Seq: seq, Allocation: "a-1"})
	}
	a.events += a.happens
	a.most = max(a.most, len(events))
	return events, nil
}

// Machine is hers, whose events all are.
func (a *asked) Machine(context.Context, core.AllocationID) (core.Machine, error) {
	return core.Machine{Owner: "ann"}, nil
}

// Who may know of his own machines alone has no other's events read for him: with -f he
// asks twice a second, and a pool may have a million.
func TestNobodyElsesEventsAreReadForAUser(t *testing.T) {
	pool := &asked{}
	s := &Server{pool: pool}
	for role, want := range map[core.Role]string{core.RoleUser: "ann", core.RoleViewer: "", core.RoleOperator: ""} {
		pool.filters = nil
		p := principal{Token: core.Token{Name: "ann", Role: role, Pools: []string{"default"}}}
		if _, err := s.eventsFor(p, core.EventFilter{After: 7}).next(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(pool.filters) != 1 || pool.filters[0].Owner != want || pool.filters[0].After != 7 {
			t.Errorf("for a %s it asks for %+v", role, pool.filters)
		}
	}
}

// However many events somebody asks for, a server has a page of them in memory, or what it
// looks through for the last ones that he may know of. He gets each once, in order.
func TestEventsAreReadPageByPage(t *testing.T) {
	const kept = 5*eventPage + 7
	for _, tt := range []struct {
		name        string
		filter      core.EventFilter
		happens     int64
		first, last int64
	}{
		{"all", core.EventFilter{}, 0, 1, kept},
		{"all that follow, and what happens meanwhile", core.EventFilter{After: 5}, 1, 6, kept + 5},
		{"the last few", core.EventFilter{Limit: 100}, 1, kept - 99, kept},
		{"the last ones, of more than a page, whatever happens meanwhile", core.EventFilter{Limit: 2*eventPage + 3}, 1, 3*eventPage + 5, kept},
		{"the last ones, of a page", core.EventFilter{Limit: eventPage}, 1, 4*eventPage + 8, kept},
		{"the last ones, of two pages", core.EventFilter{Limit: 2 * eventPage}, 1, 3*eventPage + 8, kept},
		{"more than there are", core.EventFilter{Limit: 10_000_000}, 0, 1, kept},
		{"what follows the last", core.EventFilter{After: kept}, 0, kept + 1, kept},
	} {
		for role, most := range map[core.Role]int{core.RoleOperator: eventPage, core.RoleUser: mostLooked} {
			t.Run(tt.name+", for a "+string(role), func(t *testing.T) {
				pool := &asked{events: kept, happens: tt.happens}
				pages := (&Server{pool: pool}).eventsFor(principal{Token: core.Token{Name: "ann", Role: role}}, tt.filter)
				page, err := pages.next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				w := httptest.NewRecorder()
				if err := pages.tell(t.Context(), w, page); err != nil {
					t.Fatal(err)
				}
				var told []core.Event
				if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil || told == nil {
					t.Fatalf("%v, of %.80s", err, w.Body)
				}
				if pool.most > most {
					t.Errorf("%d events are in memory, want at most %d", pool.most, most)
				}
				if want := int(tt.last - tt.first + 1); len(told) != want {
					t.Fatalf("%d events, want %d", len(told), want)
				}
				for i, ev := range told {
					if ev.Seq != tt.first+int64(i) {
						t.Fatalf("event %d is number %d, want %d", i, ev.Seq, tt.first+int64(i))
					}
				}
			})
		}
	}
}

// mixed is a pool of whose events every other one is somebody else's.
type mixed struct {
	asked
	questions int
}

func (m *mixed) Events(ctx context.Context, f core.EventFilter) ([]core.Event, error) {
	if m.questions++; m.questions > 100 {
		return nil, errors.New("it asks without end")
	}
	events, err := m.asked.Events(ctx, f)
	for i := range events {
		if events[i].Seq%2 == 0 {
			events[i].Allocation = "b-1"
		}
	}
	return events, err
}

func (m *mixed) Machine(_ context.Context, id core.AllocationID) (core.Machine, error) {
	return core.Machine{Owner: map[core.AllocationID]string{"a-1": "ann", "b-1": "bob"}[id]}, nil
}

// Who asks for more of the last events than are looked through has those of them that he
// may know of, page by page to their end.
func TestManyOfTheLastEventsAmongThoseOfOthers(t *testing.T) {
	for _, limit := range []int{mostLooked, mostLooked + 1, mostLooked + 2*eventPage + 1} {
		pool := &mixed{asked: asked{events: 10 * eventPage}}
		pages := (&Server{pool: pool}).eventsFor(principal{Token: core.Token{Name: "ann", Role: core.RoleUser}}, core.EventFilter{Limit: limit})
		var told []core.Event
		for !pages.ended {
			page, err := pages.next(t.Context())
			if err != nil {
				t.Fatalf("of the last %d: %v", limit, err)
			}
			told = append(told, page...)
		}
		if want := limit / 2; len(told) != want || pool.most > eventPage {
			t.Errorf("of the last %d there are %d, read up to %d at a time; want %d, and %d", limit, len(told), pool.most, want, eventPage)
		}
	}
}
