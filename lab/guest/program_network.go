package guest

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// ip shows the machine's links and addresses, and deletes docker0.
func ip(c call, args []string) int {
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.HasPrefix(arg, "-") })
	if len(args) == 0 {
		return c.complain("only link and addr are known in the lab")
	}
	object, verb, device := args[0], "show", ""
	if len(args) > 1 {
		verb = args[1]
	}
	if len(args) > 2 {
		device = args[len(args)-1]
	}
	addresses := strings.HasPrefix("address", object)
	if !addresses && !strings.HasPrefix("link", object) {
		return c.complain("Object \"%s\" is unknown in the lab.", object)
	}
	if strings.HasPrefix("delete", verb) && !addresses && len(verb) > 2 {
		if c.Files.UID() != 0 {
			return c.complain("RTNETLINK answers: Operation not permitted")
		}
		if !c.g.engine.deleteBridge(device) {
			return c.complain("Cannot find device \"%s\"", device)
		}
		return 0
	}
	if strings.HasPrefix("set", verb) && !addresses {
		return c.setLink(args[2:])
	}
	found := false
	for i, link := range c.links() {
		if device != "" && device != link.name {
			continue
		}
		found = true
		flags, state := "UP,LOWER_UP", "UP"
		if link.name == theNIC && c.g.offNetwork() {
			flags, state = "NO-CARRIER", "DOWN"
		}
		c.printf("%d: %s: <BROADCAST,MULTICAST,%s> mtu 1500 qdisc noqueue state %s\n    link/ether %s brd ff:ff:ff:ff:ff:ff\n", i+1, link.name, flags, state, link.mac)
		if addresses && link.address != "" {
			c.printf("    inet %s scope global %s\n", link.address, link.name)
		}
	}
	if !found {
		return c.complain("Device \"%s\" does not exist.", device)
	}
	return 0
}

// theNIC is the machine's way to the network.
const theNIC = "eth0"

// setLink takes the machine off the network, as a script does that sets the network up
// anew, or puts it back.
func (c call) setLink(args []string) int {
	args = slices.DeleteFunc(args, func(arg string) bool { return arg == "dev" })
	if len(args) != 2 || args[1] != "up" && args[1] != "down" {
		return c.complain("only set DEVICE up and set DEVICE down are known in the lab")
	}
	if !slices.ContainsFunc(c.links(), func(l link) bool { return l.name == args[0] }) {
		return c.complain("Cannot find device \"%s\"", args[0])
	}
	if c.Files.UID() != 0 {
		return c.complain("RTNETLINK answers: Operation not permitted")
	}
	if args[0] == theNIC {
		c.g.network(args[1] == "up")
	}
	return 0
}

// network takes the machine off the network, or puts it back. Connections that there are
// break, and those that are made meanwhile hear nothing; after that they are closed.
func (g *Guest) network(up bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if up == (g.off == nil) {
		return
	}
	if up {
		close(g.off)
		g.off = nil
		return
	}
	g.off = make(chan struct{})
	for c := range g.conns {
		_ = c.Close()
	}
}

func (g *Guest) offNetwork() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.off != nil
}

type link struct{ name, mac, address string }

func (c call) links() []link {
	list := []link{
		{"lo", "00:00:00:00:00:00", "127.0.0.1/8"},
		{theNIC, cmp.Or(c.g.config.MAC, "02:00:00:00:00:01"), c.g.config.Address + "/32"},
	}
	if c.g.engine.hasBridge() {
		list = append(list, link{"docker0", "02:42:00:00:00:01", "172.17.0.1/16"})
	}
	return list
}

func (e *engine) hasBridge() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bridge
}

// deleteBridge removes docker0 until the engine starts again.
func (e *engine) deleteBridge(name string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if name != "docker0" || !e.bridge {
		return false
	}
	e.bridge = false
	return true
}

// sockets lists what listens, as ss and netstat -tln do.
func sockets(c call, _ []string) int {
	_, port, _ := net.SplitHostPort(c.g.Addr().String())
	ports := append([]string{port}, c.g.engine.listening()...)
	c.printf("State   Recv-Q  Send-Q   Local Address:Port   Peer Address:Port\n")
	for _, p := range ports {
		if _, err := strconv.Atoi(p); err == nil {
			c.printf("%s", fmt.Sprintf("LISTEN  0       128            0.0.0.0:%-6s     0.0.0.0:*\n", p))
		}
	}
	return 0
}
