//go:build bench

package cost

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/core/deploy"
	"github.com/metalpool/metalpool/core/rackfile"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/bmc"
)

// labProcess is `metalpool lab up` in a process of its own, so that what it costs is
// told apart from what the engine costs.
type labProcess struct {
	t      *testing.T
	pid    int
	took   time.Duration // until it said that it is ready
	client *lab.Client
	rack   rackfile.File
}

// everyVendor asks for one node with each vendor's manners.
func everyVendor() []string {
	var names []string
	for _, m := range bmc.All() {
		names = append(names, m.Name)
	}
	return []string{"--nodes", strconv.Itoa(len(names)), "--vendors", strings.Join(names, ",")}
}

func startLab(t *testing.T, args ...string) *labProcess {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "metalpool")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "../../cmd/metalpool")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	dir = filepath.Join(dir, "lab")
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, append([]string{"lab", "up", "-o", "json", "--dir", dir}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	try(t, err)
	began := time.Now()
	try(t, cmd.Start())
	p := &labProcess{t: t, pid: cmd.Process.Pid}
	t.Cleanup(func() { try(t, cmd.Process.Signal(os.Interrupt), cmd.Wait()) })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the lab is not ready: %v", err)
	}
	p.took = time.Since(began)
	p.client, err = lab.Connect(dir)
	try(t, err)
	f, err := os.Open(filepath.Join(dir, "rack.yaml"))
	try(t, err)
	defer f.Close()
	p.rack, err = rackfile.Parse(f)
	try(t, err)
	return p
}

// memory reads one of the sizes that the kernel keeps of the process, in MiB: VmRSS
// is what it takes now, VmHWM the most that it ever took.
func (p *labProcess) memory(field string) float64 {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	try(p.t, err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			try(p.t, err)
			return kib / 1024
		}
	}
	p.t.Fatalf("/proc/%d/status has no %s", p.pid, field)
	return 0
}

// cpu is the processor time that the lab has taken so far.
func (p *labProcess) cpu() time.Duration {
	return processCPU(p.t, p.pid)
}

func processCPU(t *testing.T, pid int) time.Duration {
	t.Helper()
	// What clock_getcpuclockid(3) makes of a process ID.
	return clock(t, int32(^pid)<<3|2)
}

// traffic is what the BMC of the i-th node was asked for so far.
func (p *labProcess) traffic(i int) spent {
	status, err := p.client.Status(context.Background())
	if err != nil {
		p.t.Error(err)
		return spent{}
	}
	return spent{requests: status[i].Traffic.Verbs, connections: status[i].Traffic.Connections}
}

// ownCPU is the processor time of this process: of the engine.
func ownCPU(t *testing.T) time.Duration { return clock(t, unix.CLOCK_PROCESS_CPUTIME_ID) }

func clock(t *testing.T, id int32) time.Duration {
	t.Helper()
	var now unix.Timespec
	try(t, unix.ClockGettime(id, &now))
	return time.Duration(now.Nano())
}

// pool is an engine as an adapter has it, with the times that people have, over a
// store and a cache on the disk. It starts no detached worker: this process does all
// the work.
type pool struct {
	*core.Engine
	commits *atomic.Int64 // to the store so far
}

func benchPool(t *testing.T) pool { return benchPoolWith(t, nil) }

// benchPoolWith is a pool that does the operator's steps, too.
func benchPoolWith(t *testing.T, steps map[core.StepKind]core.StepRunner) pool {
	t.Helper()
	dir := t.TempDir()
	key, err := seal.LoadOrCreate("", filepath.Join(dir, "key"))
	try(t, err)
	store, err := sqlite.Open(t.Context(), filepath.Join(dir, "pool.db"), sqlite.Options{Create: true, KeyFingerprint: key.Fingerprint()})
	try(t, err)
	p := pool{commits: new(atomic.Int64)}
	quiet := slog.New(slog.DiscardHandler)
	deployer, err := deploy.New(deploy.Config{CacheDir: filepath.Join(dir, "cache"), Log: quiet, Refused: func(boot string, node core.NodeID, peer, why string) { p.AgentRefused(boot, node, peer, why) }})
	try(t, err)
	p.Engine = core.New(core.Config{
		Store: countingStore{store, p.commits}, Sealer: key, Deployer: deployer, Log: quiet, Steps: steps,
		Backends: map[string]core.Connector{"redfish": redfish.New(redfish.Options{})},
	})
	t.Cleanup(func() { try(t, p.Close(), deployer.Close()) })
	image := filepath.Join(dir, "image.raw")
	f, err := os.Create(image)
	try(t, err)
	try(t, lab.WriteImage(f), f.Close())
	_, err = p.AddImage(t.Context(), core.Image{Name: "demo", Source: image, Arch: "amd64", User: "debian"}, nil)
	try(t, err)
	try(t, p.SetPool(t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "demo"}))
	return p
}

// countingStore counts the commits, each of which waits for the disk.
type countingStore struct {
	core.Store
	commits *atomic.Int64
}

func (s countingStore) Update(ctx context.Context, fn func(core.Tx) error) error {
	err := s.Store.Update(ctx, fn)
	if err == nil {
		s.commits.Add(1)
	}
	return err
}

// fill enrolls the rack and erases its disks; then every node is Available.
func (p *labProcess) fill(ctx context.Context, e *core.Engine) error {
	enrolled := make(chan error)
	for _, n := range p.rack.Nodes {
		go func() {
			in := n.Enrollment()
			in.Erase = true
			_, err := e.Enroll(ctx, in, nil)
			enrolled <- err
		}()
	}
	var errs []error
	for range p.rack.Nodes {
		errs = append(errs, <-enrolled)
	}
	left, err := e.Work(ctx)
	if len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("not cleaned: %v", left))
	}
	return errors.Join(append(errs, err)...)
}

// order asks for a machine for whoever has the private half of benchKey.
func order(name string) core.Order {
	return core.Order{ID: core.AllocationID(core.NewID("b")), Owner: "bench", Name: name, Keys: []string{benchKey}}
}

// benchKey is a key that nobody has the private half of: nobody logs in.
const benchKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA nobody"

func try(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
