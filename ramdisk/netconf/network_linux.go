package netconf

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Network is the node's network while it is kept up.
type Network struct {
	log   *slog.Logger
	ready chan struct{}
	once  sync.Once
	work  sync.WaitGroup

	mu     sync.Mutex
	states map[string]string // by device
}

// Start sets up what the plan says, and keeps it so until ctx ends; then Wait returns.
func Start(ctx context.Context, p Plan, log *slog.Logger) (*Network, error) {
	n := &Network{log: log, ready: make(chan struct{}), states: map[string]string{}}
	if err := apply(p); err != nil {
		return nil, err
	}
	if p.Static != nil {
		log.Info("address", "port", p.Static.On, "address", p.Static.Address, "gateway", p.Static.Gateway)
		n.tell(p.Static.On, "has "+p.Static.Address.String())
		n.once.Do(func() { close(n.ready) })
	}
	for i, name := range p.Ask {
		a := &asker{
			name: name, metric: 100 + i, log: log,
			tell: func(state string) { n.tell(name, state) },
			got:  func(netip.Addr) { n.once.Do(func() { close(n.ready) }) },
		}
		n.work.Go(func() { a.run(ctx) })
	}
	n.work.Go(func() { n.complain(ctx) })
	return n, nil
}

// Ready is closed once the node has an address.
func (n *Network) Ready() <-chan struct{} { return n.ready }

// Wait returns when everything has ended.
func (n *Network) Wait() { n.work.Wait() }

// complainEvery is how often whoever watches the console is told that there is no
// network, and why.
const complainEvery = time.Minute

func (n *Network) complain(ctx context.Context) {
	ticker := time.NewTicker(complainEvery)
	defer ticker.Stop()
	for {
		select {
		case <-n.ready:
			return
		case <-ctx.Done():
			return
		case <-ticker.C:
			n.log.Warn("still without an address", "ports", n.String())
		}
	}
}

func (n *Network) tell(device, state string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.states[device] = state
}

// String says how each device does.
func (n *Network) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var parts []string
	for device, state := range n.states {
		parts = append(parts, fmt.Sprintf("%s: %s", device, state))
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}
