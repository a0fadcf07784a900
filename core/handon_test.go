package core_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
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

// interrupted is a store after whose n-th call its caller no longer waits.
type interrupted struct {
	core.Store
	left      atomic.Int32
	interrupt func()
}

func (s *interrupted) count(err error) error {
	if s.left.Add(-1) == 0 {
		s.interrupt()
	}
	return err
}

func (s *interrupted) View(ctx context.Context, fn func(tx core.Tx) error) error {
	return s.count(s.Store.View(ctx, fn))
}

func (s *interrupted) Update(ctx context.Context, fn func(tx core.Tx) error) error {
	return s.count(s.Store.Update(ctx, fn))
}

// Wherever a release is interrupted, somebody goes on with the clean that it began.
func TestReleaseInterruptedAnywhereIsHandedOn(t *testing.T) {
	for _, clean := range []bool{false, true} {
		for n, over := int32(1), false; !over; n++ {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, 1)
				other, _ := p.engine()
				if _, err := other.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
					t.Fatal(err)
				}
				ctx, interrupt := context.WithCancel(t.Context())
				defer interrupt()
				var workers atomic.Int32
				host := p.rack.Host()
				store := &interrupted{Store: host.Store(p.store), interrupt: interrupt}
				e := core.New(core.Config{
					Store: store, Sealer: cloak{}, Deployer: host, Timing: timing,
					Backends: map[string]core.Connector{"redfish": host},
					Detach:   func() (bool, error) { workers.Add(1); return true, nil },
				})
				store.left.Store(n)
				err := e.Release(ctx, "a-1", core.ReleaseOptions{WaitClean: clean}, nil)
				over = store.left.Load() > 0
				node, lost := other.Node(t.Context(), "n1")
				if lost != nil {
					t.Fatal(lost)
				}
				if node.State == core.Cleaning && workers.Load() == 0 {
					t.Errorf("wait %v: after call %d of the store nobody cleans: %v", clean, n, err)
				}
			})
		}
	}
}

// full is a store on a disk that takes no commit.
type full struct{ core.Store }

var errFull = errors.New("the disk is full")

func (s full) Update(ctx context.Context, fn func(tx core.Tx) error) error {
	return s.Store.Update(ctx, func(tx core.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errFull
	})
}

// A release that could not be committed does not say that it is done.
func TestReleaseThatIsNotCommittedSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		other, _ := p.engine()
		if _, err := other.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
			t.Fatal(err)
		}
		e := p.engineOn(p.rack.Host(), full{p.store}, cloak{}, nil)
		err := e.Release(t.Context(), "a-1", core.ReleaseOptions{}, nil)
		if !errors.Is(err, errFull) || strings.Contains(err.Error(), "given back") {
			t.Errorf("it says %v", err)
		}
		p.wantStates("n1 Deployed")
	})
}

// A release whose server does not do as told is handed on once, whether its clean was to
// be waited for or not.
func TestReleaseThatFailsIsHandedOn(t *testing.T) {
	for _, clean := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, 1)
			other, _ := p.engine()
			if _, err := other.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
				t.Fatal(err)
			}
			p.rack.Server("n1").Fail(enginetest.Fault{Op: "set power off", Err: enginetest.ErrUnreachable, Times: -1})
			var workers atomic.Int32
			host := p.rack.Host()
			e := core.New(core.Config{
				Store: host.Store(p.store), Sealer: cloak{}, Deployer: host, Timing: timing,
				Backends: map[string]core.Connector{"redfish": host},
				Detach:   func() (bool, error) { workers.Add(1); return true, nil },
			})
			err := e.Release(t.Context(), "a-1", core.ReleaseOptions{WaitClean: clean}, nil)
			node, lost := other.Node(t.Context(), "n1")
			if lost != nil {
				t.Fatal(lost)
			}
			if err == nil || node.State != core.Cleaning || workers.Load() != 1 {
				t.Errorf("wait %v: %d workers were started for a node that is %s, after %v", clean, workers.Load(), node.State, err)
			}
		})
	}
}
