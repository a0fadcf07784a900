package several_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/client"
	"github.com/metalpool/metalpool/core/api/server"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// open serves the pool on loopback, by one more server, until ctx ends.
func (m *memoryRack) open(ctx context.Context, ends *sync.WaitGroup) (address, fingerprint string) {
	m.t.Helper()
	e, _ := m.engine()
	certificate, fingerprint, err := server.OwnCertificate(m.t.Context(), e, "", []string{"127.0.0.1"}, slog.New(slog.DiscardHandler))
	if err != nil {
		m.t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(m.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	s := server.New(server.Config{Pool: e})
	ends.Go(func() {
		if err := s.Serve(ctx, l, certificate); err != nil {
			m.t.Error(err)
		}
	})
	ends.Go(func() {
		for ctx.Err() == nil {
			_, _ = e.Work(ctx) // it ends with ctx, or has nothing to do for now
			select {
			case <-ctx.Done():
			case <-time.After(unhurried.Queue):
			}
		}
	})
	return l.Addr().String(), fingerprint
}

// unhurried leaves every worker its lease, however much there is to do at once.
var unhurried = core.Timing{Lease: time.Minute, Call: 20 * time.Second, Retry: 50 * time.Millisecond, Queue: 200 * time.Millisecond, Place: time.Minute}

// Eighty clients of three servers take the nodes of a small rack and give them back,
// some queueing, some refused: none is told of anything but that no node is free, and no
// node is two's.
func TestManyClientsOfThreeServers(t *testing.T) {
	const nodes, clients, servers = 10, 80, 3
	m := newMemoryRack(t, pgtest.Own(t, "fsync=off"), nodes, unhurried)
	e, _ := m.engine()
	_, secret, err := e.CreateToken(t.Context(), core.TokenOrder{Name: "ann", Role: core.RoleUser})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var ends sync.WaitGroup
	t.Cleanup(func() { stop(); ends.Wait() })
	addresses, pin := make([]string, servers), ""
	for i := range servers {
		var own string
		if addresses[i], own = m.open(ctx, &ends); i > 0 && own != pin {
			t.Errorf("server %d has another CA", i)
		}
		pin = own
	}
	var (
		wg            sync.WaitGroup
		made, refused atomic.Int64
		mu            sync.Mutex
		held          = map[core.NodeID]core.AllocationID{}
	)
	for i := range clients {
		wg.Go(func() {
			clientOf := func(n int) *client.Client {
				c, err := client.New(client.Config{URL: "https://" + addresses[n%servers], Token: secret, Fingerprint: pin, Patience: patience})
				if err != nil {
					t.Error(err)
				}
				return c
			}
			makes, gives := clientOf(i), clientOf(i+1)
			defer makes.Close()
			defer gives.Close()
			o := order(fmt.Sprintf("c%d", i))
			if i%4 > 0 {
				o.Wait = time.Hour
			}
			machine, err := makes.Create(t.Context(), o, nil)
			if core.Is(err, core.NoCapacity) && o.Wait == 0 {
				refused.Add(1)
				return
			}
			if err != nil {
				t.Errorf("%s: %v", o.ID, err)
				return
			}
			made.Add(1)
			mu.Lock()
			if other, taken := held[machine.Node]; taken {
				t.Errorf("%s has %s, which is %s's", machine.ID, machine.Node, other)
			}
			held[machine.Node] = machine.ID
			mu.Unlock()
			if now, err := gives.Machine(t.Context(), machine.ID); err != nil || now.Node != machine.Node || now.State != core.Deployed {
				t.Errorf("another server knows %s as %s on %s, %v", machine.ID, now.State, now.Node, err)
			}
			mu.Lock()
			delete(held, machine.Node)
			mu.Unlock()
			if err := gives.Release(t.Context(), machine.ID, core.ReleaseOptions{}, nil); err != nil {
				t.Errorf("release of %s: %v", machine.ID, err)
			}
		})
	}
	began := time.Now()
	wg.Wait()
	t.Logf("%d machines were made and given back, %d refused, in %s", made.Load(), refused.Load(), time.Since(began).Round(time.Second))
	if made.Load() < clients*3/4 {
		t.Errorf("only %d of %d were made", made.Load(), clients)
	}
	if _, err := e.Reconcile(t.Context(), core.ReconcileOptions{Wait: true}, nil); err != nil {
		t.Error(err)
	}
	if broken, err := e.Verify(t.Context()); err != nil || len(broken) > 0 {
		t.Errorf("%v, %v", broken, err)
	}
	all, err := e.Nodes(t.Context(), core.NodeFilter{States: []core.State{core.Available}})
	if err != nil || len(all) != nodes {
		t.Errorf("%d of %d nodes are free, %v", len(all), nodes, err)
	}
}
