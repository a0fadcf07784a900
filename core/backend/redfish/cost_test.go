package redfish_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// TestRequests counts what verbs cost once the links are known: each is its request,
// and a look.
func TestRequests(t *testing.T) {
	power := func(ctx context.Context, b core.BMC) error { _, err := b.Power(ctx); return err }
	set := func(v core.PowerVerb) func(context.Context, core.BMC) error {
		return func(ctx context.Context, b core.BMC) error { return b.SetPower(ctx, v) }
	}
	r := newRig(t, nil)
	b := r.enrolled()
	insert := func(ctx context.Context, b core.BMC) error { return b.InsertMedia(ctx, r.images[0]) }
	replace := func(ctx context.Context, b core.BMC) error { return b.InsertMedia(ctx, r.images[1]) }
	total := 0
	for _, c := range []struct {
		name string
		do   func(context.Context, core.BMC) error
		want int
	}{
		{"power", power, 1},
		{"insert media", insert, 3},
		{"boot once", func(ctx context.Context, b core.BMC) error { return b.BootMediaOnce(ctx) }, 2},
		{"on", set(core.TurnOn), 2},
		{"insert the same", insert, 1},
		{"insert another", replace, 5},
		{"eject media", func(ctx context.Context, b core.BMC) error { return b.EjectMedia(ctx) }, 3},
		{"eject nothing", func(ctx context.Context, b core.BMC) error { return b.EjectMedia(ctx) }, 1},
		{"clear no override", func(ctx context.Context, b core.BMC) error { return b.ClearBoot(ctx) }, 1},
		{"restart", set(core.PowerRestart), 4},
		{"shut down", set(core.ShutDown), 3},
		{"off", set(core.TurnOff), 2},
		{"set tag", func(ctx context.Context, b core.BMC) error { return b.SetTag(ctx, "pool") }, 3},
		{"set the same tag", func(ctx context.Context, b core.BMC) error { return b.SetTag(ctx, "pool") }, 1},
	} {
		before := r.bmc.Traffic().Requests
		must(t, c.name, c.do(t.Context(), b))
		got := r.bmc.Traffic().Requests - before
		total += got
		t.Logf("%-18s %d requests", c.name, got)
		if got != c.want {
			t.Errorf("%s took %d requests, want %d", c.name, got, c.want)
		}
	}
	if traffic := r.bmc.Traffic(); traffic.Connections != 1 || traffic.Peak != 1 {
		t.Errorf("%d requests took %d connections, up to %d at once", total, traffic.Connections, traffic.Peak)
	}
}

// TestDeployFitsEightRequests is the bound of a deploy's calls: insert, boot once,
// reset, and the power read back.
func TestDeployFitsEightRequests(t *testing.T) {
	r := newRig(t, nil)
	b := r.enrolled()
	must(t, "insert", b.InsertMedia(t.Context(), r.images[0]))
	must(t, "boot once", b.BootMediaOnce(t.Context()))
	must(t, "on", b.SetPower(t.Context(), core.TurnOn))
	if state, err := b.Power(t.Context()); err != nil || state != core.PowerOn {
		t.Fatalf("power is %s, %v", state, err)
	}
	b.Close()
	traffic := r.bmc.Traffic()
	t.Logf("%d requests, %d connections", traffic.Requests, traffic.Connections)
	if traffic.Requests > 8 || traffic.Connections != 1 {
		t.Errorf("%d requests over %d connections, want at most 8 over 1: %v", traffic.Requests, traffic.Connections, traffic.Recent)
	}
	if boots := r.machine.boots; len(boots) != 1 || boots[0].Media == nil {
		t.Errorf("the machine booted %+v, want the media", boots)
	}
}

// TestConversationsLeaveNothing: many of them, also broken ones, leave no connection,
// goroutine or session.
func TestConversationsLeaveNothing(t *testing.T) {
	r := newRig(t, nil)
	r.enrolled().Close()
	most := 0
	for i := range 1000 {
		b, err := r.connector.Connect(t.Context(), r.endpoint, password, nil)
		must(t, "connect", err)
		ctx, cancel := context.WithCancel(t.Context())
		if i%10 == 0 {
			cancel()
		}
		if _, err := b.Power(ctx); err != nil && i%10 != 0 {
			t.Fatalf("conversation %d: %v", i, err)
		}
		cancel()
		must(t, "close", b.Close())
		most = max(most, r.bmc.Traffic().Open)
	}
	if most > 100 {
		t.Errorf("up to %d connections were open though each conversation was closed", most)
	}
	eventually(t, func() (bool, string) {
		n := r.bmc.Traffic().Open
		return n == 0, fmt.Sprintf("%d connections are open", n)
	})
	eventually(t, func() (bool, string) {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		n := strings.Count(string(stacks), "net/http.(*persistConn)")
		return n == 0, fmt.Sprintf("%d goroutines of connections live on", n)
	})
	if n := len(r.bmc.Sessions()); n != 0 {
		t.Errorf("%d sessions are open", n)
	}
}

// eventually waits for what goroutines do that nobody can wait for: those of net/http
// end some time after their connection was closed.
func eventually(t *testing.T, ok func() (bool, string)) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(time.Minute)
	for {
		done, what := ok()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatal(what)
		}
	}
}
