package hardware

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// AddressOf is the address of a network interface of this machine: its first global
// one, IPv4 before IPv6.
func AddressOf(name string) string {
	ifc, err := net.InterfaceByName(name)
	if err != nil {
		return ""
	}
	list, err := ifc.Addrs()
	if err != nil {
		return ""
	}
	var six string
	for _, a := range list {
		ip, is := a.(*net.IPNet)
		switch {
		case !is || !ip.IP.IsGlobalUnicast():
		case ip.IP.To4() != nil:
			return ip.IP.String()
		case six == "":
			six = ip.IP.String()
		}
	}
	return six
}

// nics are the network ports that are plugged into the machine, ordered by the
// kernel's name.
func nics(root string, addressOf func(string) string) []core.NIC {
	class := filepath.Join(root, "sys", "class", "net")
	entries, _ := os.ReadDir(class)
	var found []core.NIC
	for _, e := range entries {
		dir := filepath.Join(class, e.Name())
		if !isPort(dir) {
			continue
		}
		mac, err := net.ParseMAC(hardwareAddress(dir))
		if err != nil || len(mac) != 6 || strings.Trim(mac.String(), "0:") == "" {
			continue
		}
		n := core.NIC{MAC: mac.String(), Mbps: number(dir, "speed"), LinkUp: text(dir, "carrier") == "1"}
		for _, name := range carriers(class, e.Name()) {
			if n.Address == "" {
				n.Address = addressOf(name)
			}
		}
		found = append(found, n)
	}
	return found
}

// hostLinks are the drivers of what a BMC presents as a network card inside of the
// machine, to talk to it. The MAC of it is often the same in a whole series.
var hostLinks = []string{"cdc_eem", "cdc_ether", "cdc_ncm", "rndis_host"}

// isPort tells a real Ethernet port from what the kernel makes up, from a virtual
// function of a port, and from wireless.
func isPort(dir string) bool {
	const ethernet = "1"
	switch {
	case !exists(dir, "device"), exists(dir, "device/physfn"), exists(dir, "phy80211"), exists(dir, "wireless"):
		return false
	case text(dir, "type") != ethernet:
		return false
	}
	driver, _ := os.Readlink(filepath.Join(dir, "device", "driver"))
	return !slices.Contains(hostLinks, filepath.Base(driver))
}

// hardwareAddress is the one that is burnt in: a port in a bond bears the bond's.
func hardwareAddress(dir string) string {
	if mac := text(dir, "bonding_slave/perm_hwaddr"); mac != "" {
		return mac
	}
	return text(dir, "address")
}

// carriers are the interfaces that may have the port's address: itself, what is
// stacked on it as a VLAN, its bond, and what is stacked on that.
func carriers(class, name string) []string {
	names := append([]string{name}, uppers(class, name)...)
	if master, err := os.Readlink(filepath.Join(class, name, "master")); err == nil {
		bond := filepath.Base(master)
		names = append(append(names, bond), uppers(class, bond)...)
	}
	return names
}

func uppers(class, name string) []string {
	const prefix = "upper_"
	paths, _ := filepath.Glob(filepath.Join(class, name, prefix+"*"))
	for i, p := range paths {
		paths[i] = strings.TrimPrefix(filepath.Base(p), prefix)
	}
	return paths
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}
