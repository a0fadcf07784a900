package seed

import (
	"fmt"
	"net"

	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core"
)

// Network is what network-config says, in the form that netplan and cloud-init call
// version 2.
type Network struct {
	Version   int                 `yaml:"version"`
	Ethernets map[string]Ethernet `yaml:"ethernets"`
	Bonds     map[string]Bond     `yaml:"bonds,omitempty"`
	VLANs     map[string]VLAN     `yaml:"vlans,omitempty"`
}

// Link is how one interface gets its address: by DHCP under its MAC, as the agent
// asks, so that the machine keeps the address that the agent had; or as it is fixed;
// or not at all, where it carries another interface that does.
type Link struct {
	DHCP4      *bool    `yaml:"dhcp4,omitempty"`
	Identifier string   `yaml:"dhcp-identifier,omitempty"`
	Addresses  []string `yaml:"addresses,omitempty"`
	Gateway4   string   `yaml:"gateway4,omitempty"` // netplan prefers routes; ifupdown is led by this alone
	Gateway6   string   `yaml:"gateway6,omitempty"`
	Servers    *Servers `yaml:"nameservers,omitempty"`
	MTU        int      `yaml:"mtu,omitempty"`
	Optional   bool     `yaml:"optional,omitempty"` // the boot does not wait for it
}

// Ethernet is one port.
type Ethernet struct {
	Match   Match  `yaml:"match"`
	SetName string `yaml:"set-name"`
	Link    `yaml:",inline"`
}

// Match finds the port.
type Match struct {
	MAC string `yaml:"macaddress"`
}

// Bond joins ports. Its MAC is that of the first, which the agent asked DHCP with:
// some systems would give it one of their own making.
type Bond struct {
	Interfaces []string   `yaml:"interfaces"`
	MAC        string     `yaml:"macaddress"`
	Parameters Parameters `yaml:"parameters"`
	Link       `yaml:",inline"`
}

// Parameters of a bond. Without an interval the kernel never looks whether a port
// has lost its link.
type Parameters struct {
	Mode     string `yaml:"mode"`
	Interval int    `yaml:"mii-monitor-interval"` // milliseconds
}

// VLAN is a tagged network on a port or a bond.
type VLAN struct {
	ID   int    `yaml:"id"`
	On   string `yaml:"link"`
	Link `yaml:",inline"`
}

// Servers are those of DNS.
type Servers struct {
	Addresses []string `yaml:"addresses"`
}

// networkConfig has the network that was declared, or else DHCP on each of the MACs,
// the first being the one that the machine has to have.
func networkConfig(macs []string, declared *core.Network) ([]byte, error) {
	n := Network{Version: 2, Ethernets: map[string]Ethernet{}}
	if declared != nil {
		if err := declared.Validate(); err != nil {
			return nil, fmt.Errorf("network: %w", err)
		}
		n.declare(*declared)
		return yaml.Marshal(n)
	}
	for i, text := range macs {
		mac, err := net.ParseMAC(text)
		if err != nil || len(mac) != 6 {
			return nil, fmt.Errorf("%q is not a MAC", text)
		}
		link := byDHCP()
		link.Optional = i > 0
		n.port(i, mac.String(), link)
	}
	return yaml.Marshal(n)
}

// port names a port by its MAC and gives it a name. Matching by pattern (en*) would
// suit every server, but of cloud-init's renderers netplan alone understands it: the
// others configure a port that is called "en", and the machine has no network.
func (n *Network) port(i int, mac string, l Link) (name string) {
	name = fmt.Sprintf("net%d", i)
	n.Ethernets[name] = Ethernet{Match: Match{MAC: mac}, SetName: name, Link: l}
	return name
}

func byDHCP() Link {
	yes := true
	return Link{DHCP4: &yes, Identifier: "mac"}
}

// declare builds the network from its ports up: the last interface has the address.
func (n *Network) declare(d core.Network) {
	no := false
	below := Link{DHCP4: &no, MTU: d.MTU}
	top := addressed(d)
	bonded, tagged := len(d.Ports) > 1, d.VLAN != 0
	var names []string
	for i, mac := range d.Ports {
		link := top
		if bonded || tagged {
			link = below
		}
		names = append(names, n.port(i, mac, link))
	}
	name := names[0]
	if bonded {
		name = "bond0"
		link := top
		if tagged {
			link = below
		}
		mode := d.Bond
		if mode == "" {
			mode = "active-backup"
		}
		n.Bonds = map[string]Bond{name: {Interfaces: names, MAC: d.Ports[0], Parameters: Parameters{Mode: mode, Interval: 100}, Link: link}}
	}
	if tagged {
		n.VLANs = map[string]VLAN{fmt.Sprintf("%s.%d", name, d.VLAN): {ID: d.VLAN, On: name, Link: top}}
	}
}

func addressed(d core.Network) Link {
	if !d.Address.IsValid() {
		l := byDHCP()
		l.MTU = d.MTU
		return l
	}
	l := Link{Addresses: []string{d.Address.String()}, MTU: d.MTU}
	switch {
	case d.Gateway.Is4():
		l.Gateway4 = d.Gateway.String()
	case d.Gateway.Is6():
		l.Gateway6 = d.Gateway.String()
	}
	if len(d.DNS) > 0 {
		l.Servers = &Servers{}
		for _, s := range d.DNS {
			l.Servers.Addresses = append(l.Servers.Addresses, s.String())
		}
	}
	return l
}
