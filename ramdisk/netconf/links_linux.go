package netconf

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Ports lists the machine's Ethernet ports, by the kernel's order. What is made of
// others, or lies on nothing, is none.
func Ports() ([]Port, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list the network ports: %w", err)
	}
	var ports []Port
	for _, l := range links {
		a := l.Attrs()
		if isPort(a, l.Type()) {
			ports = append(ports, Port{Name: a.Name, MAC: a.HardwareAddr.String()})
		}
	}
	return ports, nil
}

// isPort: hardware has a device behind it, and the kernel tells of no type.
func isPort(a *netlink.LinkAttrs, kind string) bool {
	if a.Flags&net.FlagLoopback != 0 || len(a.HardwareAddr) != 6 || a.EncapType != "ether" {
		return false
	}
	_, err := os.Stat(filepath.Join("/sys/class/net", a.Name, "device"))
	return err == nil || kind == "veth" // which stands for a cable in tests, and is in no server
}

// apply sets up what is below the addresses. It may be called again.
func apply(p Plan) error {
	if lo, err := netlink.LinkByName("lo"); err == nil {
		_ = netlink.LinkSetUp(lo)
	}
	if p.Bond != nil {
		if err := makeBond(p.Bond); err != nil {
			return err
		}
	}
	var errs []error
	for _, name := range p.Off {
		if l, err := netlink.LinkByName(name); err == nil {
			errs = append(errs, netlink.LinkSetDown(l))
		}
	}
	for _, name := range p.Up {
		errs = append(errs, turnOn(name, p.MTU))
	}
	if p.Bond != nil {
		errs = append(errs, turnOn(p.Bond.Name, p.MTU))
	}
	if p.VLAN != nil {
		errs = append(errs, makeVLAN(p.VLAN), turnOn(p.VLAN.Name, p.MTU))
	}
	if s := p.Static; s != nil {
		errs = append(errs, setStatic(s))
	}
	return errors.Join(errs...)
}

func turnOn(name string, mtu int) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("port %s: %w", name, err)
	}
	if mtu > 0 {
		if err := netlink.LinkSetMTU(l, mtu); err != nil {
			return fmt.Errorf("set the MTU of %s to %d: %w", name, mtu, err)
		}
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("turn %s on: %w", name, err)
	}
	return nil
}

// Warm turns every port on as soon as there is a driver for it, until ctx ends: to
// agree with a switch takes seconds, in which the rest of the machine is found.
func Warm(ctx context.Context) {
	for {
		ports, err := Ports()
		for _, p := range ports {
			err = errors.Join(err, turnOn(p.Name, 0))
		}
		_ = err // what is to have an address is turned on again, and then it is said
		if rest(ctx, cablePoll) != nil {
			return
		}
	}
}

func makeBond(b *Bond) error {
	mode := netlink.StringToBondMode(b.Mode)
	if mode == netlink.BOND_MODE_UNKNOWN {
		return fmt.Errorf("the kernel knows no bond of mode %q", b.Mode)
	}
	bond := netlink.NewLinkBond(netlink.LinkAttrs{Name: b.Name})
	bond.Mode = mode
	bond.Miimon = 100 // milliseconds between two looks at the cables
	if mode == netlink.BOND_MODE_802_3AD {
		bond.LacpRate = netlink.BOND_LACP_RATE_FAST
	}
	if err := netlink.LinkAdd(bond); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make a bond of mode %s: %w", b.Mode, err)
	}
	master, err := netlink.LinkByName(b.Name)
	if err != nil {
		return fmt.Errorf("bond %s: %w", b.Name, err)
	}
	for _, name := range b.Ports {
		port, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("port %s: %w", name, err)
		}
		if port.Attrs().MasterIndex == master.Attrs().Index {
			continue
		}
		// A port joins a bond only while it is off.
		if err := netlink.LinkSetDown(port); err != nil {
			return fmt.Errorf("turn %s off: %w", name, err)
		}
		if err := netlink.LinkSetMaster(port, master); err != nil {
			return fmt.Errorf("put %s into the bond: %w", name, err)
		}
	}
	return nil
}

func makeVLAN(v *VLAN) error {
	parent, err := netlink.LinkByName(v.On)
	if err != nil {
		return fmt.Errorf("%s: %w", v.On, err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = v.Name, parent.Attrs().Index
	if err := netlink.LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: v.ID}); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make VLAN %d on %s: %w", v.ID, v.On, err)
	}
	return nil
}

func setStatic(s *Static) error {
	l, err := netlink.LinkByName(s.On)
	if err != nil {
		return fmt.Errorf("%s: %w", s.On, err)
	}
	if err := netlink.AddrReplace(l, &netlink.Addr{IPNet: ipNet(s.Address)}); err != nil {
		return fmt.Errorf("set address %s on %s: %w", s.Address, s.On, err)
	}
	if s.Gateway.IsValid() {
		if err := setGateway(l, s.Gateway.AsSlice(), 0); err != nil {
			return err
		}
	}
	var servers []net.IP
	for _, d := range s.DNS {
		servers = append(servers, d.AsSlice())
	}
	return writeResolver(servers, nil)
}

// setGateway makes gw the way out. It may lie outside of the port's own network, as
// some providers have it.
func setGateway(l netlink.Link, gw net.IP, metric int) error {
	route := &netlink.Route{LinkIndex: l.Attrs().Index, Gw: gw, Priority: metric, Flags: int(netlink.FLAG_ONLINK)}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("set gateway %s on %s: %w", gw, l.Attrs().Name, err)
	}
	return nil
}

// resolver is where Go's own resolver looks.
var resolver = "/etc/resolv.conf"

func writeResolver(servers []net.IP, search []string) error {
	var text strings.Builder
	if len(search) > 0 {
		fmt.Fprintf(&text, "search %s\n", strings.Join(search, " "))
	}
	for _, s := range servers {
		fmt.Fprintf(&text, "nameserver %s\n", s)
	}
	if text.Len() == 0 {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(resolver), 0o755); err != nil {
		return err
	}
	return os.WriteFile(resolver, []byte(text.String()), 0o644)
}
