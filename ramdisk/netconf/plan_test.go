package netconf

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

var ports = []Port{{"eth0", "52:54:00:00:00:01"}, {"eth1", "52:54:00:00:00:02"}, {"eth2", "52:54:00:00:00:03"}}

func TestDecide(t *testing.T) {
	address, gateway := netip.MustParsePrefix("10.1.2.3/24"), netip.MustParseAddr("10.1.2.1")
	dns := []netip.Addr{netip.MustParseAddr("10.1.2.2")}
	for name, test := range map[string]struct {
		ports []Port
		wish  *core.Network
		want  Plan
	}{
		"nothing is said":             {ports, nil, Plan{Every: true}},
		"nothing is said, no port":    {nil, nil, Plan{Every: true}},
		"one port":                    {ports, &core.Network{Ports: []string{"52:54:00:00:00:02"}}, Plan{Up: []string{"eth1"}, Off: []string{"eth0", "eth2"}, Ask: []string{"eth1"}}},
		"a port in capital letters":   {[]Port{{"eth0", "52:54:00:00:00:0a"}}, &core.Network{Ports: []string{"52:54:00:00:00:0A"}}, Plan{Up: []string{"eth0"}, Ask: []string{"eth0"}}},
		"an address":                  {ports[:1], &core.Network{Ports: []string{"52:54:00:00:00:01"}, Address: address, Gateway: gateway, DNS: dns, MTU: 9000}, Plan{Up: []string{"eth0"}, MTU: 9000, Static: &Static{"eth0", address, gateway, dns}}},
		"a VLAN":                      {ports[:1], &core.Network{Ports: []string{"52:54:00:00:00:01"}, VLAN: 42}, Plan{Up: []string{"eth0"}, VLAN: &VLAN{"eth0.42", "eth0", 42}, Ask: []string{"eth0.42"}}},
		"two ports as one":            {ports[:2], &core.Network{Ports: []string{"52:54:00:00:00:02", "52:54:00:00:00:01"}}, Plan{Up: []string{"eth1", "eth0"}, Bond: &Bond{"bond0", "active-backup", []string{"eth1", "eth0"}}, Ask: []string{"bond0"}}},
		"a bond in a VLAN":            {ports[:2], &core.Network{Ports: []string{"52:54:00:00:00:01", "52:54:00:00:00:02"}, Bond: "802.3ad", VLAN: 7, Address: address}, Plan{Up: []string{"eth0", "eth1"}, Bond: &Bond{"bond0", "802.3ad", []string{"eth0", "eth1"}}, VLAN: &VLAN{"bond0.7", "bond0", 7}, Static: &Static{On: "bond0.7", Address: address}}},
		"a bond of which a port died": {ports[:1], &core.Network{Ports: []string{"52:54:00:00:00:09", "52:54:00:00:00:01"}}, Plan{Up: []string{"eth0"}, Bond: &Bond{"bond0", "active-backup", []string{"eth0"}}, Ask: []string{"bond0"}, Lacking: []string{"52:54:00:00:00:09"}}},
	} {
		if got, err := Decide(test.ports, test.wish); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, test.want)
		}
	}
}

func TestDecideSaysWhatIsThere(t *testing.T) {
	wish := &core.Network{Ports: []string{"52:54:00:00:00:09"}}
	for want, ports := range map[string][]Port{
		"52:54:00:00:00:09, there is none; there are: none that this kernel has a driver for":             nil,
		"52:54:00:00:00:09, there is none; there are: eth0 (52:54:00:00:00:01), eth1 (52:54:00:00:00:02)": ports[:2],
	} {
		if p, err := Decide(ports, wish); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v, %v; want %q", p, err, want)
		}
	}
}
