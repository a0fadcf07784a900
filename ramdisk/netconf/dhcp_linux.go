package netconf

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"
)

// asker keeps one device's address: it asks for one, renews it, and asks again when
// it is lost.
type asker struct {
	name   string
	metric int // of its way out: the first port's comes before the others'
	log    *slog.Logger
	tell   func(state string) // what is to be said of this port to who asks why there is no network
	got    func()             // an address
}

// identifier is the MAC as RFC 2132 writes it: what the machine's OS will ask with,
// so that both are given one address.
func identifier(mac net.HardwareAddr) dhcpv4.Modifier {
	return dhcpv4.WithOption(dhcpv4.OptClientIdentifier(append([]byte{1}, mac...)))
}

// How long a DHCP server may take: two seconds, then four, then eight; switches
// that check for loops let nothing through for the first half minute.
const (
	firstWait = 2 * time.Second
	tries     = 3
)

// run ends with ctx alone.
func (a *asker) run(ctx context.Context) {
	for ctx.Err() == nil {
		link, err := a.awaitCable(ctx)
		if err != nil {
			return
		}
		if err := a.keep(ctx, link); err != nil && ctx.Err() == nil {
			a.tell(err.Error())
			a.log.Debug("no address", "port", a.name, "err", err)
		}
		_ = rest(ctx, time.Second)
	}
}

const unanswered = "no DHCP server has answered yet"

// cablePoll is how often a port is asked whether its cable has come to life.
const cablePoll = 200 * time.Millisecond

func (a *asker) awaitCable(ctx context.Context) (netlink.Link, error) {
	for was := false; ; was = true {
		link, err := netlink.LinkByName(a.name)
		if err == nil && hasCarrier(link.Attrs()) {
			if was {
				a.tell(unanswered)
			}
			return link, nil
		}
		a.tell("no link: no cable, or the switch is off")
		if err := rest(ctx, cablePoll); err != nil {
			return nil, err
		}
	}
}

func hasCarrier(l *netlink.LinkAttrs) bool {
	const lowerUp = 1 << 16 // IFF_LOWER_UP
	return l.RawFlags&lowerUp != 0
}

// keep returns when the address is lost.
func (a *asker) keep(ctx context.Context, link netlink.Link) error {
	mac := link.Attrs().HardwareAddr
	client, err := nclient4.New(a.name, nclient4.WithTimeout(firstWait), nclient4.WithRetry(tries), nclient4.WithHWAddr(mac))
	if err != nil {
		return fmt.Errorf("DHCP cannot be asked: %w", err)
	}
	defer func() { _ = client.Close() }()
	lease, err := client.Request(ctx, identifier(mac), dhcpv4.WithRequestedOptions(
		dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionDomainNameServer, dhcpv4.OptionDomainName, dhcpv4.OptionInterfaceMTU))
	if err != nil {
		return fmt.Errorf(unanswered+": %w", err)
	}
	address, err := a.use(link, lease)
	if err != nil {
		return err
	}
	a.log.Info("network is set", "port", a.name, "mac", mac.String(), "address", address, "lease", lifetime(lease))
	a.tell("has " + address.String())
	a.got()
	defer func() { _ = netlink.AddrDel(link, &netlink.Addr{IPNet: ipNet(address)}) }()
	for {
		end := lease.CreationTime.Add(lifetime(lease))
		if err := rest(ctx, time.Until(lease.CreationTime.Add(renewAfter(lease)))); err != nil {
			return err
		}
		renewed, err := client.Renew(ctx, lease, identifier(mac))
		switch {
		case err == nil:
			again, err := a.use(link, renewed)
			if err != nil {
				return fmt.Errorf("the lease of %s was renewed, and cannot be used: %w", address, err)
			}
			if again != address {
				return fmt.Errorf("the lease changed from %s to %s", address, again)
			}
			lease = renewed
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Now().After(end):
			return fmt.Errorf("the lease of %s ended and was not renewed: %w", address, err)
		default:
			a.log.Warn("the lease is not renewed yet", "port", a.name, "address", address, "err", err)
			if err := rest(ctx, min(time.Minute, time.Until(end))); err != nil {
				return err
			}
		}
	}
}

// use puts a lease into effect.
func (a *asker) use(link netlink.Link, lease *nclient4.Lease) (netip.Prefix, error) {
	ack := lease.ACK
	address, err := prefixOf(ack)
	if err != nil {
		return netip.Prefix{}, err
	}
	seconds := int(lifetime(lease).Seconds())
	if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: ipNet(address), ValidLft: seconds, PreferedLft: seconds}); err != nil {
		return address, fmt.Errorf("set address %s: %w", address, err)
	}
	if routers := ack.Router(); len(routers) > 0 {
		if err := setGateway(link, routers[0], a.metric); err != nil {
			a.log.Warn("without a way out of its own network", "port", a.name, "err", err)
		}
	}
	var search []string
	if name := ack.DomainName(); name != "" {
		search = []string{name}
	}
	return address, writeResolver(ack.DNS(), search)
}

func prefixOf(ack *dhcpv4.DHCPv4) (netip.Prefix, error) {
	address, ok := netip.AddrFromSlice(ack.YourIPAddr.To4())
	if !ok || !address.IsValid() || address.IsUnspecified() {
		return netip.Prefix{}, fmt.Errorf("the DHCP server gives %s as an address", ack.YourIPAddr)
	}
	mask := ack.SubnetMask()
	if mask == nil {
		mask = ack.YourIPAddr.DefaultMask()
	}
	ones, bits := mask.Size()
	if bits != 32 {
		return netip.Prefix{}, fmt.Errorf("the DHCP server gives %s as a network's mask", mask)
	}
	return netip.PrefixFrom(address, ones), nil
}

// shortest lease that is believed: a server that says less would be asked all the time.
const shortest = time.Minute

func lifetime(l *nclient4.Lease) time.Duration {
	return max(l.ACK.IPAddressLeaseTime(time.Hour), shortest)
}

func renewAfter(l *nclient4.Lease) time.Duration {
	whole := lifetime(l)
	if t1 := l.ACK.IPAddressRenewalTime(0); t1 > 0 && t1 < whole {
		return t1
	}
	return whole / 2
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
