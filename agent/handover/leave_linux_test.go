package handover

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/internal/needs"
)

const inside = "METALPOOL_TEST_PORTS_OFF"

// The ports are those of a network that this process alone is in: threads of one
// process would be in different ones.
func TestPortsAreOffAtKexec(t *testing.T) {
	if os.Getenv(inside) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
		out, err := cmd.CombinedOutput()
		switch {
		case errors.Is(err, syscall.EPERM):
			needs.Missing(t, "root, to make a network of its own")
		case err != nil && strings.Contains(string(out), "no virtual cables"):
			needs.Missing(t, "a kernel with virtual cables (veth)")
		case err != nil:
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	near := netlink.NewLinkAttrs()
	near.Name = "near"
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: near, PeerName: "far"}); err != nil {
		t.Fatalf("no virtual cables: %v", err)
	}
	for _, name := range []string{"lo", "near", "far"} {
		l, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(l)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	last := func() { // of whoever keeps the network up
		l, err := netlink.LinkByName("near")
		if err == nil {
			err = errors.Join(netlink.LinkSetDown(l), netlink.LinkSetUp(l))
		}
		if err != nil {
			t.Error(err)
		}
	}
	if err := (&System{StopNetwork: last}).networkOff(); err != nil {
		t.Fatal(err)
	}
	for name, on := range map[string]bool{"lo": true, "near": false, "far": false} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Attrs().Flags&net.FlagUp != 0; got != on {
			t.Errorf("port %s is on: %v, want %v", name, got, on)
		}
	}
}
