package redfish_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/lab/bmc"
)

const (
	user     = "admin"
	password = "correct horse battery"
)

// quick waits as little as it can; what it waits for comes at once or never.
var quick = redfish.Options{
	Request: 20 * time.Second, First: time.Millisecond, Poll: time.Millisecond, Watch: time.Millisecond, Settle: 20 * time.Second,
	Doubt: 20 * time.Millisecond, Grace: 20 * time.Millisecond, Retry: time.Millisecond,
	Prompt: 20 * time.Second, Entry: 20 * time.Millisecond,
}

// machine changes its power at once, unless it is told to take a few looks, or not
// to listen.
type machine struct {
	mu    sync.Mutex
	bmc   *bmc.BMC
	state bmc.PowerState
	after bmc.PowerState
	looks int // that still see it in between
	slow  int // looks that see each change
	deaf  bool
	seen  func() // called by each look
	calls []string
	boots []bmc.Boot
	facts bmc.Facts
}

func (m *machine) Power() bmc.PowerState {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen != nil {
		m.seen()
	}
	if m.looks > 0 {
		if m.looks--; m.looks == 0 {
			m.state = m.after
		}
	}
	return m.state
}

func (m *machine) change(call string, during, after bmc.PowerState) {
	var boot []bmc.Boot
	if after == bmc.On {
		boot = append(boot, m.bmc.NextBoot())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls, m.boots = append(m.calls, call), append(m.boots, boot...)
	switch {
	case call == "shutdown" && m.deaf:
	case m.slow > 0:
		m.state, m.after, m.looks = during, after, m.slow
	default:
		m.state = after
	}
}

func (m *machine) PowerOn()     { m.change("on", bmc.PoweringOn, bmc.On) }
func (m *machine) Restart(bool) { m.change("restart", bmc.PoweringOn, bmc.On) }
func (m *machine) PowerOff(graceful bool) {
	call := "off"
	if graceful {
		call = "shutdown"
	}
	m.change(call, bmc.PoweringOff, bmc.Off)
}
func (m *machine) Facts() bmc.Facts { return m.facts }

// log is what the machine was told, in order.
func (m *machine) log() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.calls, " ")
}

var facts = bmc.Facts{
	Serial: "SN0042", UUID: "4C4C4544-0042-4810-8051-B7C04F4D3331", BIOSVersion: "1.2.3",
	Processors: []bmc.Processor{
		{Vendor: "AMD", Model: "EPYC 9354", Cores: 32, Threads: 64},
		{Vendor: "AMD", Model: "EPYC 9354", Cores: 32, Threads: 64},
	},
	DIMMs: []bmc.DIMM{{MiB: 65536}, {MiB: 65536}},
	Drives: []bmc.Drive{
		{Model: "PM9A3", Vendor: "Samsung", Serial: "S1", WWN: "0025385b31b0a1c2", Bytes: 1_920_383_410_176, Protocol: "NVMe"},
		{Model: "Exos 7E8", Vendor: "Seagate", Serial: "Z1", WWN: "5000c500a1b2c3d4", Bytes: 8_001_563_222_016, Spinning: true},
	},
	NICs: []bmc.NIC{{MAC: "B4:96:91:AA:BB:CC", Mbps: 25000}, {MAC: "B4:96:91:AA:BB:00", Mbps: 1000, Down: true}},
	GPUs: []bmc.GPU{{Vendor: "NVIDIA", Model: "L40S"}},
}

// rig is a server behind a simulated BMC that really speaks Redfish over TLS.
type rig struct {
	t         *testing.T
	bmc       *bmc.BMC
	machine   *machine
	endpoint  core.Endpoint
	images    [2]string
	now       atomic.Value // func() time.Time, the BMC's clock
	connector *redfish.Connector
}

// newRig makes a BMC with these manners, nil for OpenBMC's.
func newRig(t *testing.T, manners *bmc.Manners, adjust ...func(*bmc.Config, *machine)) *rig {
	t.Helper()
	m := &machine{state: bmc.Off, facts: facts}
	r := &rig{t: t, machine: m, connector: newConnector()}
	r.now.Store(time.Now)
	config := bmc.Config{
		Machine: m, Manners: manners, User: user, Password: password, Record: 1000,
		Now: func() time.Time { return r.now.Load().(func() time.Time)() },
	}
	for _, a := range adjust {
		a(&config, m)
	}
	b, err := bmc.New(config)
	if err != nil {
		t.Fatal(err)
	}
	m.bmc, r.bmc = b, b
	url, sum := serve(t, b)
	r.endpoint = core.Endpoint{Backend: "redfish", URL: url, User: user, TLS: core.TLSCheck{Fingerprint: sum}}
	images := newImages(t)
	r.images = [2]string{images + "/boot/a1b2.iso", images + "/boot/c3d4.iso"}
	return r
}

// serve puts a BMC on loopback and returns its URL and its certificate's SHA-256.
func serve(t *testing.T, b *bmc.BMC) (url, fingerprint string) {
	t.Helper()
	certificate, key, err := bmc.NewCertificate("bmc.test", net.IPv4(127, 0, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := bmc.Serve(b, l, pair)
	t.Cleanup(func() { server.Close() })
	block, _ := pem.Decode(certificate)
	sum := sha256.Sum256(block.Bytes)
	return server.URL(), hex.EncodeToString(sum[:])
}

// newImages serves the start of an ISO image under every path that ends so.
func newImages(t *testing.T) string {
	iso := make([]byte, 64<<10)
	copy(iso[32<<10:], "\x01CD001\x01")
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ".iso") {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "boot.iso", time.Time{}, bytes.NewReader(iso))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func newConnector() *redfish.Connector { return redfish.New(quick) }

// connect opens a conversation that ends with the test.
func (r *rig) connect(fence core.Fence) core.BMC {
	r.t.Helper()
	b, err := r.connector.Connect(r.t.Context(), r.endpoint, password, fence)
	if err != nil {
		r.t.Fatalf("connect: %v", err)
	}
	r.t.Cleanup(func() { b.Close() })
	return b
}

// enrolled is connect with the links known, by another process, and the traffic counted
// from there.
func (r *rig) enrolled() core.BMC {
	r.t.Helper()
	b, err := newConnector().Connect(r.t.Context(), r.endpoint, password, nil)
	if err != nil {
		r.t.Fatalf("connect: %v", err)
	}
	if _, err := b.Inspect(r.t.Context()); err != nil {
		r.t.Fatalf("inspect: %v", err)
	}
	r.endpoint.Links = b.Links()
	b.Close()
	r.bmc.ResetTraffic()
	return r.connect(nil)
}

func (r *rig) fault(f bmc.Fault) {
	r.t.Helper()
	if _, err := r.bmc.Faults().Add(f); err != nil {
		r.t.Fatal(err)
	}
}

// writes are the requests that were to change something, as "POST reset 204".
func (r *rig) writes() []string {
	var w []string
	for _, e := range r.bmc.Traffic().Recent {
		if e.Method != http.MethodGet {
			w = append(w, fmt.Sprintf("%s %s %d", e.Method, e.Verb, e.Status))
		}
	}
	return w
}

func (r *rig) wantWrites(want ...string) {
	r.t.Helper()
	if got := r.writes(); !slices.Equal(got, want) {
		r.t.Errorf("the BMC got %q, want %q", got, want)
	}
}

// sent is an error unless the requests that begin or end so, as in "POST reset
// /redfish/…", were answered with these statuses, in that order.
func (r *rig) sent(what string, statuses ...int) error {
	var got []int
	for _, e := range r.bmc.Traffic().Recent {
		request := fmt.Sprintf("%s %s %s", e.Method, e.Verb, e.Path)
		if strings.HasPrefix(request, what) || strings.HasSuffix(request, what) {
			got = append(got, e.Status)
		}
	}
	if !slices.Equal(got, statuses) {
		return fmt.Errorf("%s was answered %d, want %d", what, got, statuses)
	}
	return nil
}

func (r *rig) inserted() string {
	for _, image := range r.bmc.Inserted() {
		return image
	}
	return ""
}

func (r *rig) once() bool { return r.bmc.State().Boot.Enabled == "Once" }

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func wantKind(t *testing.T, err error, kind core.Kind, says ...string) {
	t.Helper()
	if core.KindOf(err) != kind {
		t.Errorf("error %v is %q, want %q", err, core.KindOf(err), kind)
		return
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
	if strings.Contains(err.Error(), password) {
		t.Errorf("error %q tells the password", err)
	}
}
