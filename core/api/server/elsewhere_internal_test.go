package server

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
)

// diary is a pool whose events cannot be read at first.
type diary struct {
	*core.Engine

	mu      sync.Mutex
	failing int // reads that fail
	events  []core.Event
}

func (d *diary) write(step string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, core.Event{Seq: int64(len(d.events) + 1), Type: core.StepMet, Step: step})
}

func (d *diary) Events(_ context.Context, f core.EventFilter) ([]core.Event, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failing--; d.failing >= 0 {
		return nil, errors.New("the store is away")
	}
	since := d.events[f.After:]
	if f.Limit > 0 {
		since = since[max(0, len(since)-f.Limit):]
	}
	return slices.Clone(since), nil
}

// What was before is not told as news, also where the store was away when the wait began.
func TestOnlyWhatComesIsRetold(t *testing.T) {
	for name, test := range map[string]struct {
		before  []string
		failing int
		want    []string
	}{
		"nothing was before":    {nil, 0, []string{"new", "newer"}},
		"something was":         {[]string{"old", "older"}, 0, []string{"new", "newer"}},
		"the store was away":    {[]string{"old", "older"}, 1, []string{"newer"}},
		"away, and nothing was": {nil, 1, []string{"newer"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &diary{failing: test.failing}
				for _, step := range test.before {
					d.write(step)
				}
				var mu sync.Mutex
				var told []string
				e := &elsewhere{s: &Server{pool: d}, report: func(p core.Progress) {
					mu.Lock()
					defer mu.Unlock()
					told = append(told, p.Step)
				}}
				e.tell(core.Progress{Step: stepWait})
				synctest.Wait()
				d.write("new")
				<-time.After(lookEvery + lookEvery/2)
				d.write("newer")
				<-time.After(lookEvery)
				e.leave()
				if !slices.Equal(told, append([]string{stepWait}, test.want...)) {
					t.Errorf("told of %q, want %q", told, test.want)
				}
			})
		})
	}
}
