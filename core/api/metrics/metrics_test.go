package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/metrics"
)

// inventory is a pool of which only the story grows.
type inventory struct {
	nodes  []core.Node
	pools  []core.Pool
	events []core.Event
	most   int // events that it was to tell at once
	fails  int // questions after which it does not answer any more; 0: it does
}

func (i *inventory) Nodes(context.Context, core.NodeFilter) ([]core.Node, error) { return i.nodes, nil }
func (i *inventory) Pools(context.Context) ([]core.Pool, error)                  { return i.pools, nil }

// Events are those after a place, of these the last ones where there is a limit, and of
// these the first ones.
func (i *inventory) Events(_ context.Context, f core.EventFilter) ([]core.Event, error) {
	events := i.events[min(int(f.After), len(i.events)):]
	if f.Limit > 0 && len(events) > f.Limit {
		events = events[len(events)-f.Limit:]
	}
	if f.First > 0 {
		events = events[:min(f.First, len(events))]
	}
	i.most = max(i.most, len(events))
	if i.fails--; i.fails == 0 {
		return nil, errors.New("the store is away")
	}
	return events, nil
}

func (i *inventory) happens(e core.Event) {
	e.Seq = int64(len(i.events)) + 1
	i.events = append(i.events, e)
}

func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	return "\n" + w.Body.String()
}

// A server that nobody has asked for long has a million events to count: it reads them a
// few at a time, and each once, also where its store is away in the middle of that.
func TestManyEventsAreCountedInParts(t *testing.T) {
	p := &inventory{}
	m := metrics.New(p)
	if err := m.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	const happened = 15_000
	for range happened {
		p.happens(core.Event{Type: core.Erased})
	}
	p.fails = 2
	scrape(t, m)
	p.happens(core.Event{Type: core.Erased})
	if text, want := scrape(t, m), fmt.Sprintf("\nmetalpool_erases_total %d\n", happened+1); !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
	if p.most > 5000 {
		t.Errorf("%d events were read at once", p.most)
	}
}

// An alert on a number that is 0 needs the 0 to be there: without a series nothing is
// below, equal to, or more than before.
func TestWhatIsNotThereIsZero(t *testing.T) {
	text := scrape(t, metrics.New(&inventory{
		nodes: []core.Node{{ID: "n1", Pool: "gpu", State: core.Deployed}, {ID: "n2", Pool: "gpu", State: core.Deployed}},
		pools: []core.Pool{{Name: core.DefaultPool}, {Name: "gpu"}, {Name: "spare"}},
	}))
	for _, want := range []string{
		`metalpool_nodes{pool="gpu",state="Deployed"} 2`, `metalpool_nodes{pool="gpu",state="Available"} 0`, `metalpool_nodes{pool="gpu",state="Quarantined"} 0`,
		`metalpool_nodes{pool="spare",state="Available"} 0`,
		`metalpool_faults_total{step="write image"} 0`, `metalpool_faults_total{step="erase"} 0`, `metalpool_faults_total{step="power off"} 0`,
		`metalpool_state_changes_total{state="Failed"} 0`, `metalpool_erases_total 0`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, `metalpool_nodes{pool="default"`) {
		t.Error("a default pool that nobody uses has nothing left to give for ever")
	}
}

func TestCountingBegins(t *testing.T) {
	for name, tt := range map[string]struct {
		begins bool
		want   string
	}{
		"with the server":     {true, "metalpool_erases_total 2"},
		"with the first look": {false, "metalpool_erases_total 1"},
	} {
		i := &inventory{}
		m := metrics.New(i)
		i.happens(core.Event{Type: core.Erased}) // before
		if tt.begins {
			if err := m.Begin(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		i.happens(core.Event{Type: core.Erased})
		scrape(t, m)
		i.happens(core.Event{Type: core.Erased})
		if text := scrape(t, m); !strings.Contains(text, "\n"+tt.want+"\n") {
			t.Errorf("%s: no %s in\n%s", name, tt.want, text)
		}
	}
}
