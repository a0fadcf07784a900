// Package netconf gives a node in its ramdisk its network: what enrolment says of it,
// or whatever DHCP answers on any port.
package netconf

import (
	"cmp"
	"errors"
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
	Up   []string // ports to turn on
	MTU  int      // of all devices below; 0: as they are
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
	if len(ports) == 0 {
		return Plan{}, errors.New("there is no network port, or none that this kernel has a driver for")
	}
	var p Plan
	if wish == nil {
		for _, port := range ports {
			p.Up = append(p.Up, port.Name)
		}
		p.Ask = p.Up
		return p, nil
	}
	for _, mac := range wish.Ports {
		i := slices.IndexFunc(ports, func(port Port) bool { return strings.EqualFold(port.MAC, mac) })
		if i < 0 {
			p.Lacking = append(p.Lacking, mac)
			continue
		}
		p.Up = append(p.Up, ports[i].Name)
	}
	if len(p.Up) == 0 {
		return Plan{}, fmt.Errorf("of the ports of this node's network (%s) there is none; there are %s", strings.Join(wish.Ports, ", "), listed(ports))
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
	var list []string
	for _, p := range ports {
		list = append(list, p.Name+" ("+p.MAC+")")
	}
	return strings.Join(list, ", ")
}
