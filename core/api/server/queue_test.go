package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// queued asks for a machine in the background, and returns once its order queues.
func (s *running) queued(ctx context.Context, c interface {
	Create(context.Context, core.Order, core.Reporter) (core.Machine, error)
}, o core.Order) <-chan error {
	s.t.Helper()
	o.Wait = time.Hour
	ended := make(chan error, 1)
	go func() {
		_, err := c.Create(ctx, o, nil)
		ended <- err
	}()
	s.until(o.Name+" queues", func() bool { return s.state(o.ID) == core.Waiting })
	return ended
}

// A drained server keeps the places of those who queue: the same order goes on queueing
// at the next one.
func TestDrainedServerKeepsTheQueue(t *testing.T) {
	r := newRig(t, 1)
	first := r.serve("")
	c := first.client(r.operator())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := c.Allocate(ctx, order("holder"), nil); err != nil {
		t.Fatal(err)
	}
	ended := first.queued(ctx, c, order("waits"))
	first.end()
	second := r.serve(first.address)
	if err := c.Release(ctx, "m-holder", core.ReleaseOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || second.state("m-waits") != core.Deployed {
		t.Errorf("%v; it is %s", err, second.state("m-waits"))
	}
}

// Who was cut off, and has come to another server, has the place that he had: the first
// one does not give it up behind his back.
func TestAnotherServerHasTheQueueToo(t *testing.T) {
	r := newRig(t, 1)
	one, two := r.serve(""), r.serve("")
	token := r.operator()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := one.client(token).Allocate(ctx, order("holder"), nil); err != nil {
		t.Fatal(err)
	}
	first, cut := context.WithCancel(ctx)
	lost := one.queued(first, one.client(token), order("waits"))
	ended := two.queued(ctx, two.client(token), order("waits"))
	cut()
	if err := <-lost; err == nil {
		t.Fatal("it was not cut")
	}
	one.until("the first server has given it up", func() bool { return strings.Contains(one.log.String(), `"outcome":"failed"`) })
	if err := two.client(token).Release(ctx, "m-holder", core.ReleaseOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || two.state("m-waits") != core.Deployed {
		t.Errorf("%v; it is %s", err, two.state("m-waits"))
	}
}
