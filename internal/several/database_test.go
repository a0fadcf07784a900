package several_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/enginetest"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/postgres"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// brief is a pace at which nobody waits long for what was left.
var brief = core.Timing{Lease: 3 * time.Second, Call: time.Second, Retry: 50 * time.Millisecond, Queue: 100 * time.Millisecond, Place: 30 * time.Second}

// memoryRack is a rack in memory whose pool is in a schema of its own.
type memoryRack struct {
	timing core.Timing
	t      testing.TB
	rack   *enginetest.Rack
	url    string
	key    *seal.Key
}

// engine is one more server on the rack.
func (m *memoryRack) engine() (*core.Engine, *enginetest.Host) {
	m.t.Helper()
	store, err := postgres.Open(m.t.Context(), m.url, postgres.Options{Create: true, KeyFingerprint: m.key.Fingerprint()})
	if err != nil {
		m.t.Fatal(err)
	}
	host := m.rack.Host()
	e := core.New(core.Config{Store: host.Store(store), Sealer: m.key, Deployer: host, Timing: m.timing, Serves: true, Backends: map[string]core.Connector{"redfish": host}})
	m.t.Cleanup(func() { _ = e.Close() })
	return e, host
}

func newMemoryRack(t testing.TB, database *pgtest.Server, nodes int, timing core.Timing) *memoryRack {
	t.Helper()
	m := &memoryRack{t: t, rack: enginetest.NewRack(nodes), url: database.Fresh(t), timing: timing}
	var err error
	if m.key, err = seal.LoadOrCreate("", filepath.Join(t.TempDir(), "key")); err != nil {
		t.Fatal(err)
	}
	e, _ := m.engine()
	if _, err := e.AddImage(t.Context(), core.Image{Name: "debian", Source: "/debian.img", Arch: "amd64", User: "debian"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := e.SetPool(t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "debian"}); err != nil {
		t.Fatal(err)
	}
	for _, s := range m.rack.Servers() {
		if _, err := e.Enroll(t.Context(), core.Enrollment{ID: s.ID, URL: s.BMC(), User: "root", Password: "calvin", Erase: true}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Reconcile(t.Context(), core.ReconcileOptions{Wait: true}, nil); err != nil {
		t.Fatal(err)
	}
	return m
}

// A database that is away for longer than a lease, in whatever phase of a create or a
// release, ends nothing: a server goes on with each once it is back, no node is blamed,
// and who asked is answered as if nothing had been.
func TestTheDatabaseGoesAwayInEachPhase(t *testing.T) {
	database := pgtest.OwnWithClock(t, "fsync=off")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var (
		wg, working sync.WaitGroup
		hosts       []*enginetest.Host
		racks       []*memoryRack
		work, stop  = context.WithCancel(ctx)
	)
	defer working.Wait()
	defer stop()
	begin := func(m *memoryRack, in string, do func(e *core.Engine) error) {
		e, host := m.engine()
		host.FreezeIn(in, enginetest.Before)
		hosts, racks = append(hosts, host), append(racks, m)
		wg.Go(func() {
			if err := do(e); err != nil {
				t.Errorf("away at %q: %v", in, err)
			}
		})
		// Each pool has another server, which sees what is left.
		other, _ := m.engine()
		working.Go(func() {
			for work.Err() == nil {
				_, _ = other.Work(work) // it ends with work, or has nothing to do for now
				select {
				case <-work.Done():
				case <-time.After(brief.Queue):
				}
			}
		})
	}
	o := order("web-1")
	o.Owner, o.Served = "ann", true
	for _, in := range []string{"bmc power", "bmc set power off", "bmc insert", "bmc set power on", "await check-in", "agent inventory", "agent write", "agent seed", "agent kexec", "bmc eject", "look at ssh"} {
		m := newMemoryRack(t, database, 1, brief)
		begin(m, in, func(e *core.Engine) error {
			made, err := e.Create(ctx, o, nil)
			if err == nil && (made.State != core.Deployed || len(made.Moves) > 0) {
				err = fmt.Errorf("it is %s after %v", made.State, made.Moves)
			}
			return err
		})
	}
	for _, in := range []string{"bmc set power off", "bmc insert", "await check-in", "agent erase", "bmc eject"} {
		m := newMemoryRack(t, database, 1, brief)
		e, _ := m.engine()
		if _, err := e.Create(ctx, o, nil); err != nil {
			t.Fatal(err)
		}
		begin(m, in, func(e *core.Engine) error { return e.Release(ctx, o.ID, core.ReleaseOptions{WaitClean: true}, nil) })
	}
	for _, h := range hosts {
		select {
		case <-h.Frozen():
		case <-ctx.Done():
			t.Fatal("a host never came to its phase")
		}
	}
	if err := database.Stop(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		h.Thaw()
	}
	// Leases go by its clock, which comes back so much later.
	if err := errors.Join(database.SetClock(brief.Lease+2*brief.Call), database.Start()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	stop()
	for i, m := range racks {
		e, _ := m.engine()
		if broken, err := e.Verify(t.Context()); err != nil || len(broken) > 0 {
			t.Errorf("pool %d: %v, %v", i, broken, err)
		}
		nodes, err := e.Nodes(t.Context(), core.NodeFilter{})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range nodes {
			if n.State != core.Deployed && n.State != core.Available || n.Suspect {
				t.Errorf("pool %d: %s is %s: %s", i, n.ID, n.State, n.Reason)
			}
		}
	}
}
