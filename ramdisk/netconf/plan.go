// Package netconf gives a node in its ramdisk its network: what enrolment says of it,
// or whatever DHCP answers on any port.
package netconf

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// Port is an Ethernet port of the machine.
type Port struct {
	Name string
	MAC  string // lower case, with colons
}

// Plan is what to set up. It is made of names alone, and changes nothing by itself.
type Plan struct {
	// Every port asks DHCP, those too that appear later; nothing else is set then.
	Every bool

	Up   []string // ports to turn on
	Off  []string // ports that are none of this network's
	MTU  int      // of all devices; 0: as they are
	Bond *Bond
	VLAN *VLAN
	// Ask are the devices to ask DHCP on; where it is empty, Static says the rest.
	Ask    []string
	Static *Static
	// Lacking are ports that were asked for and are not there, though others are.
	Lacking []string
}

// Bond joins ports.
type Bond struct {
	Name  string
	Mode  string // by the kernel's name
	Ports []string
}

// VLAN is a tagged network on a device.
type VLAN struct {
	Name, On string
	ID       int
}

// Static is an address that DHCP has no say in.
type Static struct {
	On      string
	Address netip.Prefix
	Gateway netip.Addr // the zero one: none
	DNS     []netip.Addr
}

const bondName = "bond0"

// Decide makes the plan for these ports. Without a wish every port asks DHCP.
func Decide(ports []Port, wish *core.Network) (Plan, error) {
	if wish == nil {
		return Plan{Every: true}, nil
	}
	var p Plan
	for _, mac := range wish.Ports {
		i := slices.IndexFunc(ports, func(port Port) bool { return strings.EqualFold(port.MAC, mac) })
		if i < 0 {
			p.Lacking = append(p.Lacking, mac)
			continue
		}
		p.Up = append(p.Up, ports[i].Name)
	}
	if len(p.Up) == 0 {
		return Plan{}, fmt.Errorf("of the ports of this node's network, %s, there is none; there are: %s", strings.Join(wish.Ports, ", "), listed(ports))
	}
	for _, port := range ports {
		if !slices.Contains(p.Up, port.Name) {
			p.Off = append(p.Off, port.Name)
		}
	}
	p.MTU = wish.MTU
	device := p.Up[0]
	if len(wish.Ports) > 1 { // also where one is left of them: the switch expects a bond
		p.Bond = &Bond{Name: bondName, Mode: cmp.Or(wish.Bond, "active-backup"), Ports: p.Up}
		device = bondName
	}
	if wish.VLAN != 0 {
		p.VLAN = &VLAN{Name: fmt.Sprintf("%s.%d", device, wish.VLAN), On: device, ID: wish.VLAN}
		device = p.VLAN.Name
	}
	if wish.Address.IsValid() {
		p.Static = &Static{On: device, Address: wish.Address, Gateway: wish.Gateway, DNS: wish.DNS}
	} else {
		p.Ask = []string{device}
	}
	return p, nil
}

func listed(ports []Port) string {
	if len(ports) == 0 {
		return "none that this kernel has a driver for"
	}
	var list []string
	for _, p := range ports {
		list = append(list, p.Name+" ("+p.MAC+")")
	}
	return strings.Join(list, ", ")
}
