package deploy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/metalpool/metalpool/core"
)

// ownAddress is the host by which peer reaches us: an override, else what the
// route to it starts from.
func ownAddress(ctx context.Context, peer string, overrides ...string) (string, error) {
	for _, o := range overrides {
		if o != "" {
			return o, nil
		}
	}
	address, err := routeTo(ctx, peer)
	if err != nil {
		return "", &core.Error{
			Op: "find our address for " + peer, Kind: core.Transient, Err: err,
			Hint: "check the route to it, or set METALPOOL_ADVERTISE to the host it reaches us by",
		}
	}
	return address.String(), nil
}

// routeTo asks the kernel which address it would send from. Connecting a UDP
// socket sends nothing.
func routeTo(ctx context.Context, peer string) (netip.Addr, error) {
	if peer == "" {
		return netip.Addr{}, errors.New("no host is known")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", net.JoinHostPort(peer, "9"))
	if err != nil {
		return netip.Addr{}, err
	}
	defer func() { _ = conn.Close() }()
	local, ok := netip.AddrFromSlice(conn.LocalAddr().(*net.UDPAddr).IP)
	if !ok {
		return netip.Addr{}, fmt.Errorf("the route starts at %s", conn.LocalAddr())
	}
	return local.Unmap(), nil
}

// checkInAddresses are the hosts at which an agent may find us, best first. Its NIC
// is often in another network than its BMC, so where no override says, every
// address of this host follows the one that the BMC sees.
func checkInAddresses(best string, overridden bool) []string {
	hosts := []string{best}
	if a, err := netip.ParseAddr(best); overridden || err != nil || a.IsLoopback() {
		return hosts
	}
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return hosts // best is enough for most
	}
	for _, a := range interfaces {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || !prefix.Addr().IsGlobalUnicast() {
			continue
		}
		if host := prefix.Addr().Unmap().String(); !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}
