package core

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// AgentRoute is for nodes in a network of their own, as a VM behind QEMU's user
// network is: it sees this host as 10.0.2.2, and is reached at a forwarded port.
type AgentRoute struct {
	Advertise string `json:"advertise,omitempty"` // the host by which agents reach us; else NodeSpec.Advertise
	// Address is the host:port at which we reach the agent; it listens on that port.
	// Empty: any port, at the address that its check-in comes from.
	Address string `json:"address,omitempty"`
}

// Validate says what is wrong with the route. No error shows a value: it may have
// come from a file with passwords in it.
func (r AgentRoute) Validate() error {
	if !hostAlone(r.Advertise) {
		return errors.New("advertise is not a host name or an IP address alone")
	}
	if r.Address == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(r.Address)
	if n, notNumber := strconv.Atoi(port); err != nil || notNumber != nil || host == "" || n < 1 || n > 65535 {
		return errors.New("address is not of the form host:port")
	}
	return nil
}

// hostAlone reports whether a text may be a host name or an IP address, or is empty.
func hostAlone(text string) bool {
	return !strings.ContainsAny(text, "/ @[]\t\r\n") && strings.Count(text, ":") != 1
}

// Network is a node's own configuration of its ports.
type Network struct {
	// Ports are MACs, lower case with colons. Several are bonded.
	Ports []string `json:"ports"`
	// Bond is the mode of the bond, by the kernel's name, such as 802.3ad; empty is
	// active-backup.
	Bond string `json:"bond,omitempty"`
	VLAN int    `json:"vlan,omitempty"` // 0: untagged
	MTU  int    `json:"mtu,omitempty"`  // bytes; 0: the kernel's
	// Address with its prefix; the zero one asks DHCP, and then the rest is not set.
	Address netip.Prefix `json:"address,omitzero"`
	Gateway netip.Addr   `json:"gateway,omitzero"`
	DNS     []netip.Addr `json:"dns,omitempty"`
}

// BondModes are the kernel's.
var BondModes = []string{"balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"}

// Validate says what is wrong with the network, naming the field. No error shows a
// value that is not a number.
func (n Network) Validate() error {
	if len(n.Ports) == 0 {
		return errors.New("ports is empty; list the MACs of the ports to configure")
	}
	for i, port := range n.Ports {
		mac, err := net.ParseMAC(port)
		switch {
		case err != nil || len(mac) != 6 || mac.String() != port:
			return fmt.Errorf("ports: entry %d is not a MAC in lower case with colons", i+1)
		case mac[0]&1 != 0 || slices.Equal(mac, make(net.HardwareAddr, 6)):
			return fmt.Errorf("ports: entry %d is not the MAC of a port", i+1)
		case slices.Contains(n.Ports[:i], port):
			return fmt.Errorf("ports: entry %d is there twice", i+1)
		}
	}
	switch {
	case n.Bond != "" && !slices.Contains(BondModes, n.Bond):
		return fmt.Errorf("bond is none of %s", strings.Join(BondModes, ", "))
	case n.Bond != "" && len(n.Ports) == 1:
		return errors.New("bond needs more than one port")
	case n.VLAN < 0 || n.VLAN > 4094:
		return fmt.Errorf("vlan %d is not from 1 to 4094", n.VLAN)
	case n.MTU != 0 && (n.MTU < 1280 || n.MTU > 65535):
		return fmt.Errorf("mtu %d is not from 1280 to 65535", n.MTU)
	}
	return n.validateAddress()
}

func (n Network) validateAddress() error {
	if n.Address == (netip.Prefix{}) {
		if n.Gateway.IsValid() || len(n.DNS) > 0 {
			return errors.New("gateway and dns are set without an address; DHCP tells them itself")
		}
		return nil
	}
	if why := unusable(n.Address.Addr()); why != "" || !n.Address.IsValid() {
		return fmt.Errorf("address is not that of one server with its prefix, such as 10.1.0.7/24%s", why)
	}
	if isNetworkOrBroadcast(n.Address) {
		return errors.New("address is that of the whole network, or of its broadcast")
	}
	if g := n.Gateway; g.IsValid() {
		switch near := n.Address.Contains(g) || g.Is6() && g.IsLinkLocalUnicast(); {
		case unusable(g) != "", g == n.Address.Addr(), g.Is4() != n.Address.Addr().Is4():
			return errors.New("gateway is not the address of a router of the same family")
		case !near:
			return errors.New("gateway is outside the network of address")
		}
	}
	for i, server := range n.DNS {
		if !server.IsValid() || unusable(server) != "" {
			return fmt.Errorf("dns: entry %d is not the address of a server", i+1)
		}
	}
	return nil
}

// unusable says why an address is no other server's; "" where it may be.
func unusable(a netip.Addr) string {
	switch {
	case a.Zone() != "":
		return " (it has a zone)"
	case a.Is4In6():
		return " (write IPv4 as such)"
	case !a.IsGlobalUnicast() && !a.IsLinkLocalUnicast():
		return " (it is not a unicast address)"
	}
	return ""
}

func isNetworkOrBroadcast(p netip.Prefix) bool {
	if !p.Addr().Is4() || p.Bits() > 30 {
		return false
	}
	last := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	return p.Addr() == p.Masked().Addr() || p.Addr() == netip.AddrFrom4(last)
}

// Validate refuses what is neither empty nor a mode.
func (m BootMode) Validate() error {
	if m != "" && m != Kexec && m != Reboot {
		return fmt.Errorf("boot is neither %s nor %s", Kexec, Reboot)
	}
	return nil
}

const hintDeclared = "see 'metalpool help rack-file' for what it may be"

// validateDeclared checks what an operator declared of how a node is reached and
// started.
func (s NodeSpec) validateDeclared() error {
	switch {
	case !hostAlone(s.Address):
		return errors.New("address is not an IP address or a host name alone")
	case !hostAlone(s.Advertise):
		return errors.New("advertise is not a host name or an IP address alone")
	case s.SSHPort < 0 || s.SSHPort > 65535:
		return fmt.Errorf("ssh_port %d is not a port", s.SSHPort)
	case s.DockerPort < 0 || s.DockerPort > 65535:
		return fmt.Errorf("docker_port %d is not a port", s.DockerPort)
	}
	if err := s.Agent.Validate(); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	if err := s.Boot.Validate(); err != nil {
		return err
	}
	if s.Network != nil {
		if err := s.Network.Validate(); err != nil {
			return fmt.Errorf("network: %w", err)
		}
	}
	return nil
}
