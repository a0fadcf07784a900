package netconf

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
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
		log.Info("network is set", "port", p.Static.On, "address", p.Static.Address, "gateway", p.Static.Gateway)
		n.tell(p.Static.On, "has "+p.Static.Address.String())
		n.reached()
	}
	for _, name := range p.Ask {
		n.ask(ctx, name)
	}
	n.work.Go(func() { n.watch(ctx, p) })
	n.work.Go(func() { n.complain(ctx) })
	return n, nil
}

func (n *Network) reached() { n.once.Do(func() { close(n.ready) }) }

// ask asks DHCP on a device, once for each.
func (n *Network) ask(ctx context.Context, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, asked := n.states[name]; asked {
		return
	}
	n.states[name] = unanswered
	a := &asker{
		name: name, metric: 100 + len(n.states), log: n.log,
		tell: func(state string) { n.tell(name, state) }, got: n.reached,
	}
	n.work.Go(func() { a.run(ctx) })
}

// watch sees what comes without us: ports whose driver took long, and addresses that
// routers announce.
func (n *Network) watch(ctx context.Context, p Plan) {
	for ctx.Err() == nil {
		if p.Every {
			ports, err := Ports()
			for _, port := range ports {
				err = errors.Join(err, turnOn(port.Name, 0))
				n.ask(ctx, port.Name)
			}
			if err != nil {
				n.log.Debug("not every port is on", "err", err)
			}
		}
		if announced() {
			n.reached()
		}
		_ = rest(ctx, 2*cablePoll)
	}
}

// announced reports whether a router gave us an address, of IPv6.
func announced() bool {
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_V6)
	return err == nil && slices.ContainsFunc(addresses, func(a netlink.Addr) bool {
		return a.Scope == int(netlink.SCOPE_UNIVERSE) && a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 && !a.IP.IsLoopback()
	})
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
	if len(n.states) == 0 {
		return "there is no port, or none that this kernel has a driver for"
	}
	var parts []string
	for device, state := range n.states {
		parts = append(parts, fmt.Sprintf("%s: %s", device, state))
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}
