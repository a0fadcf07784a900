package rackfile

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/metalpool/metalpool/core"
)

// Network is what a node configures; said at core.Network. Addresses are texts, since
// a parser's own errors would show what stands in their place.
type Network struct {
	// Ports are MACs; several are bonded.
	Ports []string `yaml:"ports,flow"`
	// Bond is the mode of the bond by the kernel's name, such as 802.3ad; default:
	// active-backup.
	Bond string `yaml:"bond,omitempty"`
	// VLAN is from 1 to 4094; default: untagged.
	VLAN int `yaml:"vlan,omitempty"`
	// MTU is in bytes; default: the kernel's.
	MTU int `yaml:"mtu,omitempty"`
	// Address is with its prefix, such as 10.1.0.7/24; default: DHCP, and then no gateway
	// and no dns.
	Address string   `yaml:"address,omitempty"`
	Gateway string   `yaml:"gateway,omitempty"`
	DNS     []string `yaml:"dns,omitempty,flow"`
}

// maxNetwork bounds what ParseNetwork takes, in bytes.
const maxNetwork = 64 << 10

// ParseNetwork reads a file that holds what a rack file has below network, and nothing
// else, as strictly.
func ParseNetwork(r io.Reader) (core.Network, error) {
	invalid := func(err error) (core.Network, error) {
		return core.Network{}, &core.Error{Op: "read network", Kind: core.Invalid, Err: err, Hint: hint}
	}
	text, err := io.ReadAll(io.LimitReader(r, maxNetwork+1))
	if err != nil {
		return invalid(err)
	}
	if len(text) > maxNetwork {
		return invalid(fmt.Errorf("it has more than %s", core.Bytes(maxNetwork)))
	}
	var n Network
	var wrong faults
	if _, err := decode(text, &n, &wrong); err != nil {
		return invalid(err)
	}
	if err := wrong.err(); err != nil {
		return invalid(err)
	}
	made, err := n.core()
	if err == nil {
		err = made.Validate()
	}
	if err != nil {
		return invalid(err)
	}
	return *made, nil
}

// core is the network as the engine takes it, or nil where there is none.
func (n *Network) core() (*core.Network, error) {
	if n == nil {
		return nil, nil //nolint:nilnil // a file without a network is as good as one with
	}
	made := &core.Network{Bond: n.Bond, VLAN: n.VLAN, MTU: n.MTU}
	for _, port := range n.Ports {
		if mac, err := net.ParseMAC(port); err == nil {
			port = mac.String()
		}
		made.Ports = append(made.Ports, port)
	}
	var err error
	if n.Address != "" {
		if made.Address, err = netip.ParsePrefix(n.Address); err != nil {
			return nil, errors.New("address is not an IP address with its prefix, such as 10.1.0.7/24")
		}
	}
	if n.Gateway != "" {
		if made.Gateway, err = netip.ParseAddr(n.Gateway); err != nil {
			return nil, errors.New("gateway is not an IP address")
		}
	}
	for i, text := range n.DNS {
		server, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("dns: entry %d is not an IP address", i+1)
		}
		made.DNS = append(made.DNS, server)
	}
	return made, nil
}
