package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/metalpool/metalpool/core"
)

// Who names an image's URL from afar (core.AskedFromAfar) could have this host fetch what
// is there for itself alone: services on loopback, and a cloud's metadata on link-local
// addresses. What is looked at is the address that is connected to, whatever name or
// redirect has led there. A proxy that the host is told to use has rules of its own.

const dialTime = 30 * time.Second

// clientFromAfar is a client for such URLs.
func clientFromAfar(transport *http.Transport) *http.Client {
	t := transport.Clone()
	t.DialContext = (&net.Dialer{Timeout: dialTime, Control: func(_, address string, _ syscall.RawConn) error { return reachableFromAfar(address) }}).DialContext
	return &http.Client{Transport: t}
}

var (
	// metadata are a cloud's that are not link-local.
	metadata = []netip.Prefix{netip.MustParsePrefix("fd00:ec2::/32"), netip.MustParsePrefix("100.100.100.200/32")}
	// translated are IPv4 addresses that a gateway is reached for by IPv6.
	translated = netip.MustParsePrefix("64:ff9b::/96")
)

// reachableFromAfar refuses host:port where it is for this host alone.
func reachableFromAfar(address string) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return invalid("", errors.New("its URL leads to no address"))
	}
	ip := at.Addr().WithZone("").Unmap()
	if translated.Contains(ip) {
		bytes := ip.As16()
		ip = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	bad := ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified()
	for _, p := range metadata {
		bad = bad || p.Contains(ip)
	}
	if bad {
		return &fault{core.Denied, fmt.Errorf("its URL leads to %s, which is the server's own host or for it alone", ip), "serve it elsewhere; or have the image added on the server's own host"}
	}
	return nil
}

// clientFor is the client of who asks.
func (l *Library) clientFor(ctx context.Context) *http.Client {
	if core.IsFromAfar(ctx) {
		return l.afar
	}
	return l.client
}
