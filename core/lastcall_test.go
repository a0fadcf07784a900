package core_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
)

// A create that is stopped may have a call on its way to the BMC. Who goes on with it
// begins once that has ended.
func TestNobodyBeginsWhileACutCallIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		ctx, stop := context.WithCancel(t.Context())
		_, err := e.Create(ctx, order("a-1", "web-1"), func(pr core.Progress) {
			if strings.Contains(pr.Message, "powered on") {
				stop()
			}
		})
		if err == nil {
			t.Fatal("it went on")
		}
		stopped := time.Now()
		other, _ := p.engine()
		began := time.Duration(-1)
		if _, err := other.Create(t.Context(), order("a-1", "web-1"), func(pr core.Progress) {
			if pr.Step == "boot ramdisk" && began < 0 {
				began = time.Since(stopped)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if began < timing.Call || began > timing.Call+2*timing.Retry {
			t.Errorf("the next worker began %s after the last call, which may take %s", began, timing.Call)
		}
		p.sound()
	})
}

// A release that stops a living worker does not return before the last call of that
// worker has ended, and reads Off back after it. That is a matter of the store's clock,
// which may be another than ours.
func TestReleaseOutwaitsTheLastCall(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"one clock": 0, "the store's clock is ahead": time.Hour, "the store's clock is behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { releaseOutwaitsTheLastCall(t, ahead) })
		})
	}
}

func releaseOutwaitsTheLastCall(t *testing.T, ahead time.Duration) {
	p := newPool(t, 1)
	p.store = p.openBy(func() time.Time { return time.Now().Add(ahead) })
	e, host := p.engine()
	host.FreezeIn("bmc set power on", enginetest.Late) // it lands at its last moment
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = e.Create(context.WithoutCancel(t.Context()), order("a-1", "web-1"), nil)
	}()
	<-host.Frozen()
	other, second := p.engine()
	var said []string
	if err := other.Release(t.Context(), "a-1", core.ReleaseOptions{}, func(pr core.Progress) { said = append(said, pr.Message) }); err != nil {
		t.Fatal(err)
	}
	if now := p.rack.Server("n1").Look(); now.Power != core.PowerOff {
		t.Errorf("release returned, and the server is %s", now.Power)
	}
	if n := len(slices.DeleteFunc(second.Calls(), func(c string) bool { return c != "bmc set power off" })); n != 2 {
		t.Errorf("Off was asked for %d times", n)
	}
	if all := strings.Join(said, "\n"); !strings.Contains(all, "looking again in 20s") {
		t.Errorf("the wait was not told:\n%s", all)
	}
	host.Thaw()
	<-ended
	p.reconcile()
	p.sound()
}
