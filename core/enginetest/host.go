package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core"
)

// Host is a process on which one engine runs. It is a core.Connector and a
// core.Deployer; Store wraps the engine's store. Every call of the engine goes
// through it, so that it can freeze at any of them.
type Host struct {
	rack    *Rack
	freezer *freezer
}

var (
	_ core.Connector        = (*Host)(nil)
	_ core.ConsoleConnector = (*Host)(nil)
	_ core.Deployer         = (*Host)(nil)
)

// Host makes a host that works on the rack.
func (r *Rack) Host() *Host { return &Host{rack: r, freezer: newFreezer()} }

// Store is s as this host calls it.
func (h *Host) Store(s core.Store) core.Store { return hostStore{s, h} }

type hostStore struct {
	core.Store
	host *Host
}

func (s hostStore) View(ctx context.Context, fn func(tx core.Tx) error) error {
	return s.host.freezer.call("store view", time.Time{}, func() error { return s.Store.View(ctx, fn) })
}

func (s hostStore) Update(ctx context.Context, fn func(tx core.Tx) error) error {
	return s.host.freezer.call("store update", time.Time{}, func() error { return s.Store.Update(ctx, fn) })
}

// Connect makes no request.
func (h *Host) Connect(_ context.Context, e core.Endpoint, password string, fence core.Fence) (core.BMC, error) {
	h.rack.mu.Lock()
	defer h.rack.mu.Unlock()
	s := h.rack.servers[strings.TrimPrefix(e.URL, "https://")]
	if s == nil {
		return nil, fault("reach BMC", core.Transient, "no route to %s", e.URL)
	}
	return &bmc{host: h, server: s, password: password, fence: fence}, nil
}

// Fingerprint is made from the address.
func (h *Host) Fingerprint(_ context.Context, url string) (string, error) {
	return "fingerprint of " + url, nil
}

// ConsoleKey is that of a server which was given something to say.
func (h *Host) ConsoleKey(_ context.Context, e core.Endpoint, _ string) (string, error) {
	if h.said(e) == "" {
		return "", fault("open console", core.Backend, "%w", core.ErrNoConsole)
	}
	return "SHA256:" + strings.Repeat("k", 43), nil
}

// Console has what the server was given to say, and ends there.
func (h *Host) Console(_ context.Context, e core.Endpoint, _ string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(h.said(e))), nil
}

func (h *Host) said(e core.Endpoint) string {
	h.rack.mu.Lock()
	defer h.rack.mu.Unlock()
	if s := h.rack.servers[strings.TrimPrefix(e.URL, "https://")]; s != nil {
		return s.older + s.mark + s.console
	}
	return ""
}

// bmc is a conversation with one server's BMC.
type bmc struct {
	host     *Host
	server   *Server
	password string
	fence    core.Fence
}

func (b *bmc) read(op string, effect func() error) error {
	return b.host.freezer.call("bmc "+op, time.Time{}, func() error { return b.act(op, effect) })
}

func (b *bmc) write(ctx context.Context, op string, effect func() error) error {
	var until time.Time
	if b.fence != nil {
		var err error
		if until, err = b.fence(ctx); err != nil {
			return err
		}
	}
	return b.host.freezer.call("bmc "+op, until, func() error {
		if !until.IsZero() && !time.Now().Before(until) {
			return fault(op, core.Transient, "the call took too long")
		}
		return b.act(op, effect)
	})
}

func (b *bmc) act(op string, effect func() error) error {
	b.host.rack.mu.Lock()
	defer b.host.rack.mu.Unlock()
	if b.server.password != "" && b.server.password != b.password {
		return fault(op, core.Denied, "401 Unauthorized")
	}
	return b.server.act(op, effect)
}

func (b *bmc) Inspect(context.Context) (i core.Inspection, err error) {
	err = b.read("inspect", func() error {
		s := b.server
		i = core.Inspection{Identity: s.identity, Hardware: s.hardware, Tag: s.tag, Power: s.power}
		i.Hardware.Disks = slices.Clone(s.hardware.Disks)
		return nil
	})
	return i, err
}

func (b *bmc) Power(context.Context) (p core.PowerState, err error) {
	err = b.read("power", func() error { p = b.server.power; return nil })
	return p, err
}

func (b *bmc) SetPower(ctx context.Context, verb core.PowerVerb) error {
	return b.write(ctx, "set power "+string(verb), func() error {
		if verb != core.TurnOn {
			b.server.turnOff()
		}
		if verb == core.TurnOn || verb == core.PowerRestart {
			b.server.turnOn()
		}
		return nil
	})
}

func (b *bmc) InsertMedia(ctx context.Context, url string) error {
	return b.write(ctx, "insert", func() error { b.server.media = url; return nil })
}

func (b *bmc) EjectMedia(ctx context.Context) error {
	return b.write(ctx, "eject", func() error {
		if b.server.locks && b.server.ramdisk != nil {
			return fault("eject", core.Backend, "the medium is in use")
		}
		b.server.media = ""
		return nil
	})
}

func (b *bmc) BootMediaOnce(ctx context.Context) error {
	return b.write(ctx, "boot once", func() error { b.server.once = true; return nil })
}

func (b *bmc) ClearBoot(ctx context.Context) error {
	return b.write(ctx, "clear boot", func() error { b.server.once = false; return nil })
}

func (b *bmc) SetTag(ctx context.Context, tag string) error {
	return b.write(ctx, "set tag", func() error { b.server.tag = tag; return nil })
}

func (b *bmc) Links() map[string]string {
	return map[string]string{"system": "/" + string(b.server.ID)}
}

func (b *bmc) Close() error { return nil }

// NewBoot makes a boot whose key and token are texts that a test can look for.
func (h *Host) NewBoot(ttl time.Duration) (core.Boot, core.BootSecret, error) {
	id := core.NewID("boot")
	return core.Boot{ID: id, Certificate: []byte("certificate of the engine for " + id), Expires: time.Now().Add(ttl)},
		core.BootSecret{Key: []byte("PRIVATE BOOT KEY " + core.NewID("key")), Token: "SECRET TOKEN " + core.NewID("token")}, nil
}

func mediaURL(boot string) string { return "http://host/" + boot }

// Offer serves the boot while the host lives.
func (h *Host) Offer(ctx context.Context, b core.Boot, s core.BootSecret, p core.BootParams) (string, error) {
	url := mediaURL(b.ID)
	return url, h.freezer.call("offer", time.Time{}, func() error {
		h.rack.mu.Lock()
		defer h.rack.mu.Unlock()
		h.rack.offers[url] = &offer{host: h, boot: b, secret: s, params: p, checkIn: make(chan core.AgentEndpoint, 1)}
		return nil
	})
}

// AwaitCheckIn waits for the server that starts the boot's media.
func (h *Host) AwaitCheckIn(ctx context.Context, boot string) (at core.AgentEndpoint, err error) {
	h.rack.mu.Lock()
	o := h.rack.offers[mediaURL(boot)]
	h.rack.mu.Unlock()
	err = h.freezer.call("await check-in", time.Time{}, func() error {
		select {
		case at = <-o.checkIn:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	return at, err
}

// Withdraw ends an offer.
func (h *Host) Withdraw(boot string) {
	h.rack.mu.Lock()
	defer h.rack.mu.Unlock()
	delete(h.rack.offers, mediaURL(boot))
}

// Dial makes no call.
func (h *Host) Dial(b core.Boot, s core.BootSecret, generation uint64) (core.Agent, error) {
	return &agent{host: h, boot: b, secret: s, generation: generation}, nil
}

// NewHostKeys makes keys that a test can look for.
func (h *Host) NewHostKeys() (private, public []string, err error) {
	key := "PRIVATE HOST KEY " + core.NewID("host")
	return []string{key}, []string{PublicKey(key)}, nil
}

// RenderSeed writes the seed as JSON. User data "bad" is refused.
func (h *Host) RenderSeed(s core.Seed) ([]byte, error) {
	if string(s.UserData) == "bad" {
		return nil, fault("render seed", core.Invalid, "the user data is bad")
	}
	return json.Marshal(s)
}

// OpenImage finds every image that has a source.
func (h *Host) OpenImage(_ context.Context, i core.Image) (core.ImageSource, error) {
	if i.Source == "" {
		return nil, fault("open image "+i.Name, core.NotFound, "no file")
	}
	return source(i.Name), nil
}

type source string

func (s source) Manifest() core.Manifest { return core.Manifest{Path: string(s), Size: core.GiB} }
func (s source) Close() error            { return nil }

// Examine takes any image, and spells its address as the real one does.
func (h *Host) Examine(_ context.Context, i core.Image, progress func(done, total core.Bytes)) (core.Image, error) {
	if progress != nil {
		progress(0, core.GiB)
	}
	if u, err := url.Parse(i.Source); err == nil && u.Host != "" {
		i.Source = u.String()
	}
	i.SHA256, i.Format, i.Size, i.MinDisk = fmt.Sprintf("%x", i.Source), "raw", core.GiB, 2*core.GiB
	return i, nil
}

// LookAtSSH finds the host key of the OS which runs at the address. A ramdisk there
// refuses; where nothing runs, nothing answers.
func (h *Host) LookAtSSH(_ context.Context, address string, _ int) (found core.SSHLook, err error) {
	err = h.freezer.call("look at ssh", time.Time{}, func() error {
		for _, s := range h.rack.Servers() {
			if s.Address != address {
				continue
			}
			switch now := s.Look(); {
			case now.System != nil && now.SSH != nil:
				if found = *now.SSH; found.Sign < core.KeyShown {
					return fault("ssh", core.Transient, "no key")
				}
				return nil
			case now.System != nil:
				found = core.SSHLook{Sign: core.KeyShown, Key: PublicKey(now.System.HostKeys[0])}
				return nil
			case now.Ramdisk:
				found.Sign = core.Refused
				return fault("ssh", core.Transient, "connection refused")
			}
		}
		return fault("ssh", core.Transient, "no route to host")
	})
	return found, err
}

// errGone is an agent that does not answer.
var errGone = &core.Error{Op: "reach agent", Kind: core.Transient, Err: errors.New("connection refused")}
