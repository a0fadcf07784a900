package seed

import (
	"fmt"
	"net"

	"go.yaml.in/yaml/v3"
)

// Network is what network-config says.
type Network struct {
	Version   int                 `yaml:"version"`
	Ethernets map[string]Ethernet `yaml:"ethernets"`
}

// Ethernet is one port, which asks DHCP under its MAC: as the agent does, so that
// the machine keeps the address that the agent had.
type Ethernet struct {
	Match      Match  `yaml:"match"`
	SetName    string `yaml:"set-name"`
	DHCP4      bool   `yaml:"dhcp4"`
	Identifier string `yaml:"dhcp-identifier"`
	Optional   bool   `yaml:"optional,omitempty"` // the boot does not wait for it
}

// Match finds the port.
type Match struct {
	MAC string `yaml:"macaddress"`
}

// networkConfig names the ports by MAC and gives each a name. Matching by pattern
// (en*) would suit every server, but of cloud-init's renderers netplan alone
// understands it: the others configure a port that is called "en", and the machine
// has no network.
func networkConfig(macs []string) ([]byte, error) {
	n := Network{Version: 2, Ethernets: map[string]Ethernet{}}
	for i, text := range macs {
		mac, err := net.ParseMAC(text)
		if err != nil || len(mac) != 6 {
			return nil, fmt.Errorf("%q is not a MAC", text)
		}
		name := fmt.Sprintf("net%d", i)
		n.Ethernets[name] = Ethernet{Match: Match{MAC: mac.String()}, SetName: name, DHCP4: true, Identifier: "mac", Optional: i > 0}
	}
	return yaml.Marshal(n)
}
