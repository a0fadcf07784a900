package core_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
)

func TestNetworkIsChecked(t *testing.T) {
	const one, two = "02:00:00:00:00:01", "02:00:00:00:00:02"
	static := func(address, gateway string, dns ...string) core.Network {
		n := core.Network{Ports: []string{one}, Address: netip.MustParsePrefix(address)}
		if gateway != "" {
			n.Gateway = netip.MustParseAddr(gateway)
		}
		for _, s := range dns {
			n.DNS = append(n.DNS, netip.MustParseAddr(s))
		}
		return n
	}
	for name, good := range map[string]core.Network{
		"DHCP on one port":     {Ports: []string{one}},
		"bond and VLAN":        {Ports: []string{one, two}, Bond: "802.3ad", VLAN: 4094, MTU: 9000},
		"bond by default":      {Ports: []string{one, two}},
		"static":               static("10.1.0.7/24", "10.1.0.1", "10.1.0.2", "2001:db8::53"),
		"no gateway":           static("10.1.0.7/24", ""),
		"point to point":       static("10.1.0.7/31", "10.1.0.6"),
		"IPv6":                 static("2001:db8::7/64", "2001:db8::1"),
		"a link-local gateway": static("2001:db8::7/64", "fe80::1"),
	} {
		if err := good.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for want, bad := range map[string]core.Network{
		"ports is empty":                         {},
		"entry 1 is not a MAC":                   {Ports: []string{"02-00-00-00-00-01"}},
		"entry 2 is not a MAC":                   {Ports: []string{one, "hunter2"}},
		"lower case":                             {Ports: []string{"02:00:00:00:00:AB"}},
		"entry 1 is not the MAC of a port":       {Ports: []string{"01:00:5e:00:00:01"}},
		"entry 2 is there twice":                 {Ports: []string{one, one}},
		"bond is none of balance-rr":             {Ports: []string{one, two}, Bond: "lacp"},
		"bond needs more than one port":          {Ports: []string{one}, Bond: "802.3ad"},
		"vlan 4095":                              {Ports: []string{one}, VLAN: 4095},
		"mtu 100 ":                               {Ports: []string{one}, MTU: 100},
		"gateway and dns are set without":        {Ports: []string{one}, Gateway: netip.MustParseAddr("10.0.0.1")},
		"not a unicast":                          static("127.0.0.1/8", ""),
		"write IPv4 as such":                     static("::ffff:10.0.0.1/120", ""),
		"address is that of the whole network":   static("10.1.0.0/24", ""),
		"or of its broadcast":                    static("10.1.3.255/22", ""),
		"gateway is outside the network":         static("10.1.0.7/24", "10.2.0.1"),
		"a router of the same family":            static("10.1.0.7/24", "fe80::1"),
		"dns: entry 2 is not the address":        static("10.1.0.7/24", "", "10.1.0.1", "224.0.0.1"),
		"gateway is not the address of a router": static("10.1.0.7/24", "10.1.0.7"),
	} {
		err := bad.Validate()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", bad, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("it shows what was given: %v", err)
		}
	}
}

func TestAgentRouteIsChecked(t *testing.T) {
	for _, good := range []core.AgentRoute{{}, {Advertise: "10.0.2.2", Address: "127.0.1.1:9100"}, {Advertise: "fe80::1"}, {Address: "[::1]:9100"}, {Advertise: "host.example"}} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for _, bad := range []core.AgentRoute{{Advertise: "http://10.0.2.2"}, {Advertise: "10.0.2.2:80"}, {Address: "127.0.1.1"}, {Address: ":9100"}, {Address: "127.0.1.1:0"}, {Address: "127.0.1.1:ssh"}} {
		if err := bad.Validate(); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// A deploy that waits for SSH looks where its seed says: another network is not for it.
func TestANetworkIsNotChangedUnderADeploy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, 1)
		e, _ := p.engine()
		operator, _ := p.engine()
		network := core.Network{Ports: []string{"02:00:00:00:00:01"}, Address: netip.MustParsePrefix("192.0.2.8/24")}
		set := func() error {
			_, err := operator.SetNode(context.WithoutCancel(t.Context()), "n1", core.NodeChange{Network: &network})
			return err
		}
		var during error
		m, err := e.Create(t.Context(), order("a-1", "web-1"), func(pr core.Progress) {
			if pr.Step == "ssh" && during == nil {
				during = set()
			}
		})
		if err != nil || !core.Is(during, core.Busy) || !strings.Contains(during.Error(), "metalpool machine release a-1") {
			t.Errorf("set while it is deployed: %v; the deploy: %v", during, err)
		}
		before := m.Access
		if err := set(); err != nil {
			t.Error(err)
		}
		if now := p.machine("a-1").Access; now.Address != before.Address {
			t.Errorf("the machine that runs was at %s, and is now looked for at %s", before.Address, now.Address)
		}
		if err := e.Release(t.Context(), "a-1", core.ReleaseOptions{WaitClean: true}, nil); err != nil {
			t.Fatal(err)
		}
		if n := p.node("n1"); n.Spec.Network == nil || n.State != core.Available {
			t.Errorf("%+v", n)
		}
		network = core.Network{}
		if err := set(); err != nil || p.node("n1").Spec.Network != nil {
			t.Errorf("taken back: %+v, %v", p.node("n1").Spec.Network, err)
		}
		p.sound()
	})
}
