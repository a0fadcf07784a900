package bmc

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/schemas"
)

const (
	testUser     = "admin"
	testPassword = "correct horse"
)

// server is a Machine whose power changes at once, unless slow: then it stays
// in between until settle. It boots whenever it starts.
type server struct {
	mu    sync.Mutex
	bmc   *BMC
	state PowerState
	slow  bool
	calls []string
	boots []Boot
	facts Facts
}

func (s *server) Power() PowerState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

func (s *server) change(call string, during, after PowerState) {
	s.mu.Lock()
	s.calls = append(s.calls, call)
	s.state = during
	slow := s.slow
	s.mu.Unlock()
	if !slow {
		s.settle(after)
	}
}

// settle ends a change of power.
func (s *server) settle(state PowerState) {
	var boots []Boot
	if state == On && s.bmc != nil {
		boots = append(boots, s.bmc.NextBoot())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
	s.boots = append(s.boots, boots...)
}

func (s *server) PowerOn() { s.change("on", PoweringOn, On) }
func (s *server) PowerOff(graceful bool) {
	if graceful {
		s.change("shutdown", PoweringOff, Off)
		return
	}
	s.change("off", PoweringOff, Off)
}
func (s *server) Restart(graceful bool) {
	if graceful {
		s.change("reboot", PoweringOn, On)
		return
	}
	s.change("restart", PoweringOn, On)
}
func (s *server) Facts() Facts { return s.facts }

func (s *server) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.calls, " ")
}

// lastBoot is what the machine booted last.
func (s *server) lastBoot(t *testing.T) Boot {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.boots) == 0 {
		t.Fatal("the machine did not boot")
	}
	return s.boots[len(s.boots)-1]
}

var testFacts = Facts{
	Serial: "SN0042", UUID: "4c4c4544-0042-4810-8051-b7c04f4d3331", SKU: "SKU-1", BIOSVersion: "1.2.3",
	Processors: []Processor{
		{Vendor: "AMD", Model: "EPYC 9354", Cores: 32, Threads: 64, MHz: 3800},
		{Vendor: "AMD", Model: "EPYC 9354", Cores: 32, Threads: 64, MHz: 3800},
	},
	DIMMs: []DIMM{{MiB: 65536}, {MiB: 65536}},
	Drives: []Drive{
		{Model: "PM9A3", Vendor: "Samsung", Serial: "S1", WWN: "eui.0025388b71b0a1f2", Bytes: 960197124096, Protocol: "NVMe"},
		{Model: "Exos", Vendor: "Seagate", Serial: "S2", Bytes: 8001563222016, Protocol: "SAS", Spinning: true},
	},
	NICs: []NIC{{MAC: "52:54:00:00:00:01", Mbps: 25000}, {MAC: "52:54:00:00:00:02", Mbps: 1000, Down: true}},
	GPUs: []GPU{{Vendor: "NVIDIA", Model: "H100"}},
}

// rig is one BMC behind TLS with its machine, its clock and a server of images.
type rig struct {
	t       *testing.T
	bmc     *BMC
	machine *server
	server  *Server
	roots   *x509.CertPool
	client  *http.Client
	images  *imageServer

	clock sync.Mutex
	now   time.Time
}

func newRig(t *testing.T, m *Manners, adjust ...func(*Config)) *rig {
	t.Helper()
	r := &rig{t: t, machine: &server{state: Off, facts: testFacts}, now: time.Unix(1_700_000_000, 0), images: newImageServer(t)}
	c := Config{
		Machine: r.machine, Manners: m, User: testUser, Password: testPassword, Record: 1000, POST: time.Minute,
		Now: func() time.Time { r.clock.Lock(); defer r.clock.Unlock(); return r.now },
	}
	for _, a := range adjust {
		a(&c)
	}
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r.bmc, r.machine.bmc = b, b
	certificate, key, err := NewCertificate("bmc.test", net.IPv4(127, 0, 0, 1))
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
	r.server = Serve(b, l, pair)
	t.Cleanup(func() { r.server.Close() })
	r.roots = x509.NewCertPool()
	r.roots.AppendCertsFromPEM(certificate)
	r.client = r.newClient()
	return r
}

// newClient has connections of its own and trusts only the BMC's certificate.
func (r *rig) newClient() *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.roots}}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

func (r *rig) pass(d time.Duration) {
	r.clock.Lock()
	defer r.clock.Unlock()
	r.now = r.now.Add(d)
}

// gofish is an independent client, logged in with Basic auth.
func (r *rig) gofish() *gofish.APIClient {
	r.t.Helper()
	c, err := gofish.Connect(gofish.ClientConfig{
		Endpoint: r.server.URL(), Username: testUser, Password: testPassword, BasicAuth: true,
		HTTPClient: r.newClient(), NoModifyTransport: true, ReuseConnections: true,
	})
	if err != nil {
		r.t.Fatalf("gofish: %v", err)
	}
	return c
}

// system is the server itself, as gofish finds it.
func (r *rig) system(c *gofish.APIClient) *schemas.ComputerSystem {
	r.t.Helper()
	systems, err := c.Service.Systems()
	if err != nil {
		r.t.Fatalf("gofish systems: %v", err)
	}
	for _, s := range systems {
		if s.ID == r.bmc.manners.SystemID {
			return s
		}
	}
	r.t.Fatalf("gofish finds no system %s among %d", r.bmc.manners.SystemID, len(systems))
	return nil
}

// reply is an answer as a client without any library sees it.
type reply struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

func (r reply) json() map[string]any {
	r.t.Helper()
	var v map[string]any
	if err := json.Unmarshal(r.body, &v); err != nil {
		r.t.Fatalf("answer %d is no JSON object: %v: %s", r.status, err, r.body)
	}
	return v
}

// message is the MessageId of an error.
func (r reply) message() string {
	r.t.Helper()
	e, _ := r.json()["error"].(map[string]any)
	info, _ := e["@Message.ExtendedInfo"].([]any)
	if len(info) == 0 {
		r.t.Fatalf("answer %d has no @Message.ExtendedInfo: %s", r.status, r.body)
	}
	id, _ := info[0].(map[string]any)["MessageId"].(string)
	return id
}

// newRequest has the right credentials.
func (r *rig) newRequest(method, path, body string) *http.Request {
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.server.URL()+path, strings.NewReader(body))
	if err != nil {
		r.t.Error(err)
	}
	request.SetBasicAuth(testUser, testPassword)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	return request
}

// try sends one request; headers are name, value, name, value. The error is
// that of the connection.
func (r *rig) try(method, path, body string, headers ...string) (reply, error) {
	r.t.Helper()
	request := r.newRequest(method, path, body)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			request.Header.Del(headers[i])
		}
	}
	response, err := r.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return reply{r.t, response.StatusCode, response.Header, content}, err
}

func (r *rig) do(method, path, body string, headers ...string) reply {
	r.t.Helper()
	a, err := r.try(method, path, body, headers...)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// want sends a request that must be answered with a status and, for errors,
// with a message ID that ends so.
func (r *rig) want(status int, message, method, path, body string, headers ...string) reply {
	r.t.Helper()
	a := r.do(method, path, body, headers...)
	if a.status != status {
		r.t.Fatalf("%s %s %s: answer %d instead of %d: %s", method, path, body, a.status, status, a.body)
	}
	if message != "" && !strings.HasSuffix(a.message(), message) {
		r.t.Fatalf("%s %s %s: message %s instead of %s", method, path, body, a.message(), message)
	}
	return a
}

// ok sends a request that must succeed.
func (r *rig) ok(method, path, body string, headers ...string) reply {
	r.t.Helper()
	a := r.do(method, path, body, headers...)
	if a.status >= 300 {
		r.t.Fatalf("%s %s %s: answer %d: %s", method, path, body, a.status, a.body)
	}
	return a
}

func (r *rig) sys() string { return r.bmc.systemPath() }

func (r *rig) resetTo(resetType string) {
	r.t.Helper()
	r.ok("POST", r.sys()+"/Actions/ComputerSystem.Reset", `{"ResetType":"`+resetType+`"}`)
}

const resetAction = "/Actions/ComputerSystem.Reset"

// slotPath is where the i-th slot is.
func (r *rig) slotPath(i int) string {
	base := r.sys()
	if r.bmc.manners.SlotsUnder == UnderManagers {
		base = r.bmc.ownManagerPath()
	}
	return base + "/VirtualMedia/" + r.bmc.manners.Slots[i].ID
}

// insertBody is a request with nothing but the image.
func insertBody(image string) string { return `{"Image":"` + image + `"}` }

// imageServer serves images with byte ranges, and remembers what was asked.
type imageServer struct {
	*httptest.Server
	iso []byte
	mu  sync.Mutex
	got []string // Range headers
	as  []string // Basic users
}

// newISO is the start of an ISO image: a volume descriptor and content.
func newISO(size int) []byte {
	image := make([]byte, size)
	for i := range image {
		image[i] = byte(i / 7)
	}
	copy(image[descriptorOffset:], append([]byte{1}, "CD001\x01"...))
	return image
}

func newImageServer(t *testing.T) *imageServer {
	s := &imageServer{iso: newISO(1 << 20)}
	mux := http.NewServeMux()
	mux.HandleFunc("/boot.iso", func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		s.mu.Lock()
		s.got = append(s.got, r.Header.Get("Range"))
		s.as = append(s.as, user)
		s.mu.Unlock()
		http.ServeContent(w, r, "boot.iso", time.Time{}, bytes.NewReader(s.iso))
	})
	mux.HandleFunc("/text.iso", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "text.iso", time.Time{}, strings.NewReader(strings.Repeat("no image ", 10000)))
	})
	mux.HandleFunc("/short.iso", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "short.iso", time.Time{}, strings.NewReader("short"))
	})
	mux.HandleFunc("/gone.iso", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	mux.HandleFunc("/rangeless.iso", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(s.iso) // who wants no more hangs up
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *imageServer) image() string { return s.URL + "/boot.iso" }

func (s *imageServer) ranges() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.got...)
}
