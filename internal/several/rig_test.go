package several_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/client"
	"github.com/metalpool/metalpool/internal/pgtest"
	"github.com/metalpool/metalpool/lab"
)

// pace is that of the processes under test, as short as a busy machine keeps up with.
var pace = core.Timing{Lease: 6 * time.Second, Call: 2 * time.Second, Grace: 5 * time.Second, Retry: 200 * time.Millisecond, Queue: 200 * time.Millisecond, Place: 5 * time.Second}

// patience is far beyond what anything takes on simulated nodes and a busy machine.
const patience = 4 * time.Minute

// program is `metalpool`, with a pace that can be set or with the usual one; it is built
// once.
type program struct {
	tags string
	once sync.Once
	dir  string
	err  error
}

var quick, usual = &program{tags: "campaign"}, &program{}

func TestMain(m *testing.M) {
	status := m.Run()
	for _, p := range []*program{quick, usual} {
		if p.dir != "" {
			_ = os.RemoveAll(p.dir)
		}
	}
	os.Exit(status)
}

func (p *program) path(t testing.TB) string {
	t.Helper()
	p.once.Do(func() {
		if p.dir, p.err = os.MkdirTemp("", "several-"); p.err != nil { //nolint:usetesting // it outlives the test that comes first
			return
		}
		cmd := exec.CommandContext(context.Background(), "go", "build", "-tags", p.tags, "-o", p.dir, "../../cmd/metalpool")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			p.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if p.err != nil {
		t.Fatal(p.err)
	}
	return filepath.Join(p.dir, "metalpool")
}

// site is a rack whose pool is in a PostgreSQL of its own, and its servers.
type site struct {
	t        testing.TB
	program  *program
	dir      string
	lab      *lab.Lab
	database *pgtest.Server
	name     string // of the database
	pool     string // URL of the store
	token    string
	servers  []*served
	front    *front
}

// newSite fills a pool with the nodes of a new rack, and starts so many servers.
func newSite(t testing.TB, p *program, nodes, servers int) *site {
	t.Helper()
	s := &site{t: t, program: p, dir: t.TempDir(), database: pgtest.Own(t, "fsync=off")}
	s.name = s.database.Database(t)
	s.pool = s.database.URL(s.name)
	var err error
	if s.lab, err = lab.Up(t.Context(), lab.Config{Dir: filepath.Join(s.dir, "lab"), Nodes: nodes}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.lab.Close(); err != nil {
			t.Error(err)
		}
	})
	image, list := filepath.Join(s.dir, "image.raw"), filepath.Join(s.dir, "rack.yaml")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	rack := s.lab.Rack()
	if err := errors.Join(lab.WriteImage(f), f.Close(), rack.Write(list)); err != nil {
		t.Fatal(err)
	}
	s.run("image", "add", "lab", "--source", image, "--user", "debian")
	s.run("pool", "set", "default", "--image", "lab")
	s.run("node", "enroll", "--from", list, "--erase", "--wait")
	s.token = strings.TrimSpace(s.run("token", "create", "ann", "--role", "operator", "-o", "json"))
	var made struct{ Secret string }
	if err := json.Unmarshal([]byte(s.token), &made); err != nil {
		t.Fatalf("%q: %v", s.token, err)
	}
	s.token = made.Secret
	s.front = newFront(t)
	for range servers {
		s.serve("host")
	}
	return s
}

// environment is what every process gets, on the host whose home that is.
func (s *site) environment(home string) []string {
	timing, err := json.Marshal(pace)
	if err != nil {
		s.t.Fatal(err)
	}
	env := []string{"HOME=" + filepath.Join(s.dir, home), "METALPOOL_URL=" + s.pool, "METALPOOL_OWNER=operator"}
	if s.program == quick {
		env = append(env, "CAMPAIGN_TIMING="+string(timing))
	}
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); name != "HOME" && !strings.HasPrefix(name, "METALPOOL_") && !strings.HasPrefix(name, "XDG_") {
			env = append(env, setting)
		}
	}
	return env
}

// run runs a command of the operator's, which must succeed.
func (s *site) run(args ...string) string {
	s.t.Helper()
	out, err := s.try("host", args...)
	if err != nil {
		s.t.Fatalf("metalpool %v: %v", args, err)
	}
	return out
}

func (s *site) try(home string, args ...string) (string, error) { return s.tryWith(nil, home, args...) }

// tryWith runs a command with more in its environment.
func (s *site) tryWith(more []string, home string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.program.path(s.t), args...)
	cmd.Env = append(s.environment(home), more...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, said.String())
	}
	return string(out), err
}

// served is one `metalpool serve`.
type served struct {
	site        *site
	home        string
	address     string
	fingerprint string
	log         string
	process     *exec.Cmd
	ended       chan error
}

// serve starts one more server, on the host whose home that is.
func (s *site) serve(home string) {
	s.t.Helper()
	p := &served{site: s, home: home, log: filepath.Join(s.dir, fmt.Sprintf("serve%d.log", len(s.servers)))}
	if err := p.start("127.0.0.1:0"); err != nil {
		s.t.Fatal(err)
	}
	s.servers = append(s.servers, p)
	s.front.lead(p.address, true)
	s.t.Cleanup(func() {
		p.kill()
		if s.t.Failed() {
			text, _ := os.ReadFile(p.log)
			s.t.Logf("%s:\n%s", p.log, lastLines(string(text), 30))
		}
	})
}

func lastLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// start returns once the server takes requests.
func (p *served) start(listen string) error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// No context of the test's: its end is to find the server as it is.
	cmd := exec.Command(p.site.program.path(p.site.t), "serve", "--listen", listen, "-o", "json") //nolint:noctx // see above
	cmd.Env, cmd.Stderr = p.site.environment(p.home), log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var ready struct{ URL, Fingerprint string }
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		_, _ = io.Copy(io.Discard, out)
		ended := cmd.Wait()
		text, _ := os.ReadFile(p.log)
		return fmt.Errorf("%w: %w: %s", err, ended, text)
	}
	p.address, p.fingerprint = strings.TrimPrefix(ready.URL, "https://"), ready.Fingerprint
	p.process, p.ended = cmd, make(chan error, 1)
	go func(ended chan<- error) { ended <- cmd.Wait() }(p.ended)
	return nil
}

// kill ends the server at once, wherever it is.
func (p *served) kill() {
	p.site.front.lead(p.address, false)
	if p.process != nil {
		_ = p.process.Process.Kill()
		<-p.ended //nolint:errcheck // a killed process has an error
		p.process = nil
	}
}

// drain ends the server as systemd does.
func (p *served) drain() error {
	if err := p.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := <-p.ended
	p.site.front.lead(p.address, false)
	p.process = nil
	return err
}

// again starts the server anew, at the same address.
func (p *served) again() error {
	err := p.start(p.address)
	if err == nil {
		p.site.front.lead(p.address, true)
	}
	return err
}

// client goes to whichever server the front leads to.
func (s *site) client() *client.Client { return s.clientOf(s.front.listener.Addr().String()) }

func (s *site) clientOf(address string) *client.Client {
	s.t.Helper()
	c, err := client.New(client.Config{URL: "https://" + address, Token: s.token, Fingerprint: s.servers[0].fingerprint, Patience: patience})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// working is the server that waits for the agent of a node, once one does.
func (s *site) working(node core.NodeID) *served {
	s.t.Helper()
	var found *served
	s.until(fmt.Sprintf("a server waits for the agent of %s", node), func() bool {
		for _, p := range s.servers {
			if p.process == nil {
				continue
			}
			if st, ok := s.stage(node); ok && st.Step == "boot ramdisk" && st.Told == core.StepMet && strings.HasSuffix(st.Worker, fmt.Sprintf("/%d", p.process.Process.Pid)) {
				found = p
			}
		}
		return found != nil
	})
	return found
}

func (s *site) stage(node core.NodeID) (core.Stage, bool) {
	stages, err := s.client().Stages(s.t.Context())
	if err != nil {
		s.t.Logf("stages: %v", err)
		return core.Stage{}, false
	}
	for _, st := range stages {
		if st.Node == node {
			return st, true
		}
	}
	return core.Stage{}, false
}

// until looks again and again, and gives up where nothing comes of it.
func (s *site) until(what string, is func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !is(); {
		if time.Now().After(end) {
			s.t.Fatalf("still not: %s\n%s", what, s.story())
		}
		<-time.After(50 * time.Millisecond)
	}
}

// story is what happened last, for a failure's reader.
func (s *site) story() string {
	var told strings.Builder
	for _, n := range s.lab.Nodes() {
		out, err := s.try("host", "node", "events", string(n.ID()))
		fmt.Fprintf(&told, "%s, %v:\n%s\n", n.ID(), err, lastLines(out, 25))
	}
	return told.String()
}

// hangs has a server get nowhere at its next boot from virtual media: whoever works on it
// waits there.
func (s *site) hangs(node core.NodeID) {
	s.t.Helper()
	n, err := s.lab.Node(node)
	if err == nil {
		err = n.AddFault(lab.NewFault{Machine: &lab.Fault{Kind: lab.MediaHang}})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// sound checks the invariants of the pool, whose work is done.
func (s *site) sound(states map[core.State]int) {
	s.t.Helper()
	s.run("check")
	nodes, err := s.client().Nodes(s.t.Context(), core.NodeFilter{})
	if err != nil {
		s.t.Fatal(err)
	}
	got := map[core.State]int{}
	for _, n := range nodes {
		got[n.State]++
	}
	if fmt.Sprint(got) != fmt.Sprint(states) {
		s.t.Errorf("nodes are %v, want %v", got, states)
	}
}

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEdQVC7RBMF5JYcZDrR2zVSpFUs+yP4YSAlOhgmsAr9X test"

func order(name string) core.Order {
	return core.Order{ID: core.AllocationID("m-" + name), Name: name, Keys: []string{key}}
}

// front leads connections to the servers in turn, as a load balancer does that asks
// whether they are ready.
type front struct {
	listener net.Listener

	mu    sync.Mutex
	to    []string
	turns int
}

func newFront(t testing.TB) *front {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{listener: l}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { f.pass(near) })
		}
	})
	t.Cleanup(func() { _ = l.Close() })
	return f
}

// lead has the front lead to an address, or no more.
func (f *front) lead(to string, leads bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rest []string
	for _, other := range f.to {
		if other != to {
			rest = append(rest, other)
		}
	}
	if f.to = rest; leads {
		f.to = append(f.to, to)
	}
}

func (f *front) next() (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.to) == 0 {
		return "", false
	}
	f.turns++
	return f.to[f.turns%len(f.to)], true
}

func (f *front) pass(near net.Conn) {
	defer near.Close()
	to, there := f.next()
	if !there {
		return
	}
	far, err := net.Dial("tcp", to) //nolint:noctx // on loopback
	if err != nil {
		return
	}
	defer far.Close()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(pair[0], pair[1])
			_ = pair[0].Close()
			_ = pair[1].Close()
		})
	}
	both.Wait()
}

// get asks a server for what takes no token.
func (p *served) get(path string) (status int, text string, err error) {
	check, err := client.Pinned(p.fingerprint)
	if err != nil {
		return 0, "", err
	}
	transport := &http.Transport{TLSClientConfig: check}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(p.site.t.Context(), http.MethodGet, "https://"+p.address+path, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}
