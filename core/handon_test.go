package core_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
)

// Who no longer waits for a clean leaves it to a worker, as he is told.
func TestReleaseThatIsInterruptedIsHandedOn(t *testing.T) {
	for name, before := range map[string]bool{"its own clean": false, "the clean of a release before": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				var workers atomic.Int32
				host := p.rack.Host()
				e := core.New(core.Config{
					Store: host.Store(p.store), Sealer: cloak{}, Deployer: host, Timing: timing,
					Backends: map[string]core.Connector{"redfish": host},
					Detach:   func() (bool, error) { workers.Add(1); return true, nil },
				})
				if _, err := e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
					t.Fatal(err)
				}
				if before {
					if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{}, nil); err != nil {
						t.Fatal(err)
					}
				}
				workers.Store(0)
				ctx, interrupt := context.WithCancel(t.Context())
				err := e.Release(ctx, "a-1", core.ReleaseOptions{WaitClean: true}, func(progress core.Progress) {
					if progress.Step == "boot ramdisk" {
						interrupt()
					}
				})
				if err == nil || workers.Load() == 0 {
					t.Errorf("%d workers were started, after %v", workers.Load(), err)
				}
				p.wantStates("n1 Cleaning")
			})
		})
	}
}
