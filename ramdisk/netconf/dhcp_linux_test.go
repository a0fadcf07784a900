package netconf

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/needs"
)

const envInside = "METALPOOL_TEST_NETWORK_NAMESPACE"

// isolated runs the test again in a process with a network of its own, and returns
// true there: threads of one process would be in different networks.
func isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(envInside) == t.Name() {
		return true
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), envInside+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM):
		needs.Missing(t, "root, to make a network of its own")
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		needs.Missing(t, "a kernel with virtual cables (veth)")
	}
	t.Logf("%s", out)
	return false
}

// cable makes two ports and the cable between them. far has an address and is on.
func cable(t *testing.T, near, far string) (nearMAC net.HardwareAddr) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = near
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: far}); errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("no veth")
	} else if err != nil {
		t.Fatal(err)
	}
	l, err := netlink.LinkByName(far)
	if err != nil {
		t.Fatal(err)
	}
	address, err := netlink.ParseAddr("192.0.2.1/24")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(netlink.AddrAdd(l, address), netlink.LinkSetUp(l)); err != nil {
		t.Fatal(err)
	}
	l, err = netlink.LinkByName(near)
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().HardwareAddr
}

// dhcpServer gives whoever asks on that port 192.0.2.9, and tells of each request
// that it takes. While mute, it answers nobody.
func dhcpServer(t *testing.T, port string, mute <-chan struct{}) <-chan *dhcpv4.DHCPv4 {
	t.Helper()
	requests := make(chan *dhcpv4.DHCPv4, 100)
	server, err := server4.NewServer(port, nil, func(conn net.PacketConn, _ net.Addr, m *dhcpv4.DHCPv4) {
		select {
		case <-mute:
		default:
			return
		}
		kind := dhcpv4.MessageTypeOffer
		if m.MessageType() == dhcpv4.MessageTypeRequest {
			kind = dhcpv4.MessageTypeAck
			requests <- m
		}
		reply, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(kind),
			dhcpv4.WithYourIP(net.IPv4(192, 0, 2, 9)), dhcpv4.WithServerIP(net.IPv4(192, 0, 2, 1)),
			dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithRouter(net.IPv4(192, 0, 2, 254)), dhcpv4.WithDNS(net.IPv4(192, 0, 2, 53)),
			dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(192, 0, 2, 1))), dhcpv4.WithLeaseTime(3600),
			dhcpv4.WithOption(dhcpv4.Option{Code: dhcpv4.OptionRenewTimeValue, Value: dhcpv4.Duration(time.Second)}))
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = conn.WriteTo(reply.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ClientPort})
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve() }()
	t.Cleanup(func() { _ = server.Close() })
	return requests
}

// A port gets its address under its MAC, as the machine's OS will, and keeps it.
func TestDHCP(t *testing.T) {
	if !isolated(t) {
		return
	}
	resolver = filepath.Join(t.TempDir(), "etc", "resolv.conf")
	mac := cable(t, "eth0", "far0")
	speaks := make(chan struct{})
	requests := dhcpServer(t, "far0", speaks)
	ctx, cancel := context.WithCancel(t.Context())
	plan, err := Decide(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Start(ctx, plan, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(n.String(), "eth0: no DHCP server has answered yet") {
		if err := rest(t.Context(), cablePoll); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-n.Ready():
		t.Fatalf("it is ready: %s", n)
	default:
	}
	close(speaks)

	<-n.Ready()
	first := <-requests
	if id := first.Options.Get(dhcpv4.OptionClientIdentifier); !bytes.Equal(id, append([]byte{1}, mac...)) {
		t.Errorf("it asked as %x", id)
	}
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if got := addresses(t, link); got != "192.0.2.9/24" {
		t.Errorf("it has %s", got)
	}
	routes, err := netlink.RouteList(link, netlink.FAMILY_V4)
	if err != nil || !strings.Contains(n.String(), "eth0: has 192.0.2.9/24") {
		t.Errorf("%s (%v)", n, err)
	}
	var gateways int
	for _, r := range routes {
		if r.Gw.Equal(net.IPv4(192, 0, 2, 254)) {
			gateways++
		}
	}
	if gateways != 1 {
		t.Errorf("it has the routes %v", routes)
	}
	if text, err := os.ReadFile(resolver); err != nil || string(text) != "nameserver 192.0.2.53\n" {
		t.Errorf("names are resolved by %q, %v", text, err)
	}

	renewal := <-requests
	if !renewal.ClientIPAddr.Equal(net.IPv4(192, 0, 2, 9)) || addresses(t, link) != "192.0.2.9/24" {
		t.Errorf("the lease was renewed as %s; it has %s", renewal.ClientIPAddr, addresses(t, link))
	}
	cancel()
	n.Wait()
	if got := addresses(t, link); got != "" {
		t.Errorf("at the end it still has %s", got)
	}
}

func addresses(t *testing.T, l netlink.Link) string {
	t.Helper()
	list, err := netlink.AddrList(l, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, a := range list {
		all = append(all, a.IPNet.String())
	}
	return strings.Join(all, " ")
}

// An address that enrolment fixed is set on the port that it names; the others are
// turned off.
func TestStatic(t *testing.T) {
	if !isolated(t) {
		return
	}
	resolver = filepath.Join(t.TempDir(), "resolv.conf")
	mac := cable(t, "eth0", "far0")
	cable(t, "eth1", "far1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n, err := Start(ctx, staticPlan(t, mac.String()), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	<-n.Ready()
	link, err := netlink.LinkByName("eth0")
	if err != nil || link.Attrs().MTU != 1400 {
		t.Fatalf("%+v, %v", link, err)
	}
	if got := addresses(t, link); got != "192.0.2.77/24" {
		t.Errorf("it has %s", got)
	}
	other, err := netlink.LinkByName("eth1")
	if err != nil || other.Attrs().Flags&net.FlagUp != 0 {
		t.Errorf("the other port is on (%v)", err)
	}
}

func staticPlan(t *testing.T, mac string) Plan {
	t.Helper()
	found, err := Ports()
	if err != nil {
		t.Fatal(err)
	}
	var mine []Port // in this network there are the far ends, too, which stand for a switch
	for _, p := range found {
		if strings.HasPrefix(p.Name, "eth") {
			mine = append(mine, p)
		}
	}
	plan, err := Decide(mine, &core.Network{
		Ports: []string{mac}, MTU: 1400,
		Address: netip.MustParsePrefix("192.0.2.77/24"), Gateway: netip.MustParseAddr("198.51.100.1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}
