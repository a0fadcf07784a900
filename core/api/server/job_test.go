package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
	"github.com/metalpool/metalpool/core/enginetest"
)

// until looks until it is so.
func (s *running) until(what string, so func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for !so() {
		select {
		case <-ctx.Done():
			s.t.Fatalf("never came: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// state is that of an allocation; "" where there is none.
func (s *running) state(id core.AllocationID) core.State {
	m, err := s.engine.Machine(context.Background(), id)
	if err != nil && !core.Is(err, core.NotFound) {
		s.t.Error(err)
	}
	return m.State
}

// Nobody is given a node later that he does not know of: an order that only queues ends
// a moment after the last who followed it. One that has followers goes on.
func TestAnOrderQueuesOnlyWhileSomebodyFollows(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	c := s.client(r.operator())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := c.Allocate(ctx, order("holder"), nil); err != nil {
		t.Fatal(err)
	}
	queue := func(ctx context.Context, name string) <-chan error {
		o := order(name)
		o.Wait = time.Hour
		ended := make(chan error, 1)
		go func() {
			_, err := c.Create(ctx, o, nil)
			ended <- err
		}()
		s.until(name+" queues", func() bool { return s.state(o.ID) == core.Waiting })
		return ended
	}
	left, leave := context.WithCancelCause(ctx)
	gone := queue(left, "gone")
	stays := queue(ctx, "stays")
	why := errors.New("Ctrl-C")
	leave(why)
	if err := <-gone; !errors.Is(err, why) || !core.Is(err, core.Timeout) {
		t.Errorf("who left is told %v", err)
	}
	s.until("the place of who left is given up", func() bool { return s.state("m-gone") == core.Expired })
	if state := s.state("m-stays"); state != core.Waiting {
		t.Errorf("the other one is %s", state)
	}
	if err := c.Release(ctx, "m-holder", core.ReleaseOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-stays; err != nil {
		t.Errorf("the other one: %v", err)
	}
}

// Once a node is taken, the server goes on to the end, whoever listens.
func TestADeployGoesOnWithoutItsClient(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	s.host.FreezeIn("agent write", enginetest.Before)
	c := s.client(r.operator())
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := c.Create(ctx, order("web-1"), nil)
		ended <- err
	}()
	<-s.host.Frozen()
	leave()
	if err := <-ended; !core.Is(err, core.Timeout) || !strings.Contains(err.Error(), "the server goes on") {
		t.Errorf("the client is told %v", err)
	}
	s.host.Thaw()
	s.until("the machine is deployed", func() bool { return s.state("m-web-1") == core.Deployed })
}

// A server that drains gives its leases back, and the next one at that address goes on
// with what is under way; the client notices no more than a pause.
func TestDrainedServerHandsOver(t *testing.T) {
	r := newRig(t, 2)
	r.rack.Writing = time.Hour
	first := r.serve("")
	c := first.client(r.operator())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	type result struct {
		m   core.Machine
		err error
	}
	ended := make(chan result, 1)
	told := make(chan core.Progress, 1000)
	go func() {
		m, err := c.Create(ctx, order("web-1"), func(p core.Progress) { told <- p })
		ended <- result{m, err}
	}()
	awaitStep(t, told, "write image")
	first.end()
	r.rack.Writing = 0
	second := r.serve(first.address)
	got := <-ended
	if got.err != nil || got.m.State != core.Deployed || len(got.m.Moves) > 0 {
		t.Fatalf("%+v, %v", got.m, got.err)
	}
	if events, err := second.engine.Events(ctx, core.EventFilter{Allocation: got.m.ID}); err != nil || count(events, core.StateChanged) != 3 {
		t.Errorf("it was not one deploy: %+v, %v", events, err)
	}
	var log []core.AuditEntry
	second.until("the last line of the audit log", func() bool {
		log, _ = second.engine.Audit(ctx, core.AuditFilter{})
		return len(log) == 4
	})
	if log[1].Outcome != core.AuditHandoff || log[3].Outcome != core.AuditDone || log[0].Request != log[3].Request {
		t.Errorf("the audit log: %+v", log)
	}
}

func awaitStep(t *testing.T, told <-chan core.Progress, step string) {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case p := <-told:
			if p.Step == step {
				return
			}
		case <-limit:
			t.Fatalf("%s was never told of", step)
		}
	}
}

func count(events []core.Event, of core.EventType) (n int) {
	for _, e := range events {
		if e.Type == of {
			n++
		}
	}
	return n
}

// The same write under the same ID is told the same end again, and done once. Under
// another ID it is another one; the ID of another write is refused.
func TestAWriteMayBeSentAgain(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	ops := r.operator()
	body := `{"name":"ann"}`
	first, one := s.raw(http.MethodPost, "/v1/tokens", ops, body, api.HeaderRequest, "r-1")
	second, two := s.raw(http.MethodPost, "/v1/tokens", ops, body, api.HeaderRequest, "r-1")
	if first.StatusCode != http.StatusOK || second.StatusCode != http.StatusOK || one != two {
		t.Errorf("%s %s\nthen %s %s", first.Status, one, second.Status, two)
	}
	if _, three := s.raw(http.MethodPost, "/v1/tokens", ops, body, api.HeaderRequest, "r-2"); three == one {
		t.Error("another request was told the end of the first")
	}
	resp, text := s.raw(http.MethodPost, "/v1/tokens", ops, `{"name":"bob"}`, api.HeaderRequest, "r-1")
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(text, "used for another write") {
		t.Errorf("another write under that ID: %s %s", resp.Status, text)
	}
	// Whose write it is, others cannot hear.
	if resp, text := s.raw(http.MethodGet, "/v1/requests/r-1/progress", ops, ""); resp.StatusCode != http.StatusOK || !strings.Contains(text, "event: end") {
		t.Errorf("its own progress: %s %s", resp.Status, text)
	}
	if resp, text := s.raw(http.MethodGet, "/v1/requests/r-1/progress", r.operator(), ""); resp.StatusCode != http.StatusNotFound || strings.Contains(text, "metalpool_") {
		t.Errorf("a stranger hears %s %s", resp.Status, text)
	}
	tokens, err := s.engine.Tokens(t.Context())
	if err != nil || len(tokens) != 4 {
		t.Errorf("%d tokens, %v", len(tokens), err)
	}
}

// A stream goes on after the event that was seen last.
func TestAStreamResumes(t *testing.T) {
	r := newRig(t, 1)
	s := r.serve("")
	ops := r.operator()
	body, err := json.Marshal(api.NewOrder(order("web-1")))
	if err != nil {
		t.Fatal(err)
	}
	if resp, text := s.raw(http.MethodPut, "/v1/machines/m-1", ops, string(body), api.HeaderRequest, "r-1"); resp.StatusCode != http.StatusAccepted || !strings.Contains(text, `"progress":"/v1/requests/r-1/progress"`) {
		t.Fatalf("%s %s", resp.Status, text)
	}
	_, all := s.raw(http.MethodGet, "/v1/requests/r-1/progress", ops, "")
	events := strings.Split(strings.TrimSpace(all), "\n\n")
	if len(events) < 5 || !strings.Contains(events[len(events)-1], "event: end") {
		t.Fatalf("all of it: %q", events)
	}
	half := len(events) / 2
	id, _, _ := strings.Cut(strings.TrimPrefix(events[half], "id: "), "\n")
	_, rest := s.raw(http.MethodGet, "/v1/requests/r-1/progress", ops, "", api.HeaderLastEvent, id)
	_, after, found := strings.Cut(rest, "\n\n") // the first says that the stream is there
	if !found || strings.TrimSpace(after) != strings.Join(events[half+1:], "\n\n") {
		t.Errorf("after %s:\n%s\nwant\n%s", id, rest, strings.Join(events[half+1:], "\n\n"))
	}
}
