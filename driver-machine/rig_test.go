//go:build linux

package main_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/internal/attached"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab"
)

// The tests' own engine starts this binary again where it needs a worker.
func TestMain(m *testing.M) {
	if open.RunWorker() {
		return
	}
	status := m.Run()
	if plugin.dir != "" {
		_ = os.RemoveAll(plugin.dir)
	}
	os.Exit(status)
}

// plugin is the driver as users have it, built once for all tests.
var plugin struct {
	once sync.Once
	dir  string
	err  error
}

func pluginDir(t testing.TB) string {
	t.Helper()
	plugin.once.Do(func() {
		//nolint:usetesting // it outlives the test that comes first
		if plugin.dir, plugin.err = os.MkdirTemp("", "metalpool-plugin-"); plugin.err != nil {
			return
		}
		args := []string{"build", "-o", filepath.Join(plugin.dir, "docker-machine-driver-metalpool")}
		if underRace() {
			args = append(args, "-race")
		}
		cmd := exec.CommandContext(context.Background(), "go", append(args, ".")...)
		if out, err := cmd.CombinedOutput(); err != nil {
			plugin.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if plugin.err != nil {
		t.Fatal(plugin.err)
	}
	return plugin.dir
}

// underRace reports whether this test has the race detector; the plugin then has
// it, too.
func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// patience is far beyond what anything here takes on a busy machine.
const patience = 3 * time.Minute

// rig is a virtual rack, a pool that owns it, and what docker-machine runs in.
type rig struct {
	lab           *lab.Lab
	dockerMachine string
	url           string // of the pool
	home          string
	settings      []string // the environment of docker-machine, beside our own
	patience      time.Duration
}

// newRig starts a rack of nodes that are clean and ready, in dir.
func newRig(t testing.TB, dir string, nodes int) *rig {
	t.Helper()
	return startRig(t, dir, lab.Config{Nodes: nodes}, labImage(t, dir), patience)
}

// labImage is enough of an image for simulated nodes.
func labImage(t testing.TB, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "image.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(lab.WriteImage(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// startRig starts a rack and enrolls and cleans its nodes.
func startRig(t testing.TB, dir string, c lab.Config, image string, patience time.Duration) *rig {
	t.Helper()
	needs.Program(t, "scp", "openssh-client")
	r := &rig{dockerMachine: needs.DockerMachine(t), url: filepath.Join(dir, "pool.db"), home: filepath.Join(dir, "home"), patience: patience}
	c.Dir = filepath.Join(dir, "lab")
	l, err := lab.Up(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	r.lab = l
	t.Cleanup(func() { r.end(t) })
	if err := os.MkdirAll(r.home, 0o700); err != nil {
		t.Fatal(err)
	}
	r.settings = []string{
		"PATH=" + pluginDir(t) + ":" + filepath.Dir(r.dockerMachine) + ":" + os.Getenv("PATH"),
		"HOME=" + r.home, "METALPOOL_URL=" + r.url, "METALPOOL_OWNER=e2e", "MACHINE_STORAGE_PATH=" + filepath.Join(r.home, "machine"),
		"MACHINE_BUGSNAG_API_TOKEN=no-report",
		"GORACE=halt_on_error=1 log_path=" + filepath.Join(dir, "race"),
	}
	r.fill(t, image)
	// First creates side by side race on docker-machine's own CA.
	r.run(t, "create", "-d", "none", "--url", "tcp://localhost:2376", "ca")
	r.run(t, "rm", "-f", "ca")
	return r
}

// fill enrolls the rack and cleans it.
func (r *rig) fill(t testing.TB, image string) {
	t.Helper()
	e := r.engine(t)
	ctx, cancel := context.WithTimeout(t.Context(), r.patience)
	defer cancel()
	if _, err := e.AddImage(ctx, core.Image{Name: "lab", Source: image, Arch: "amd64", User: "debian"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := e.SetPool(ctx, core.Pool{Name: core.DefaultPool, DefaultImage: "lab"}); err != nil {
		t.Fatal(err)
	}
	for _, n := range r.lab.Rack().Nodes {
		in := n.Enrollment()
		in.Erase = true
		if _, err := e.Enroll(ctx, in, nil); err != nil {
			t.Fatal(err)
		}
	}
	r.settle(t)
}

// engine opens the pool as its operator does.
func (r *rig) engine(t testing.TB) *core.Engine {
	t.Helper()
	e, err := open.Engine(t.Context(), r.url, open.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// settle waits until no node is at work and no worker is left that could go on.
func (r *rig) settle(t testing.TB) {
	t.Helper()
	e := r.engine(t)
	ctx, cancel := context.WithTimeout(t.Context(), r.patience)
	defer cancel()
	if _, err := e.Work(ctx); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(r.url+".worker", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	for unix.Flock(int(lock.Fd()), unix.LOCK_EX) == unix.EINTR {
	}
}

func (r *rig) command(t testing.TB, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), r.dockerMachine, args...)
	cmd.Env = append(os.Environ(), r.settings...)
	return cmd
}

// run runs docker-machine, which must succeed.
func (r *rig) run(t testing.TB, args ...string) {
	t.Helper()
	out, err := r.command(t, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker-machine %v: %v\n%s", args, err, out)
	}
}

// end leaves nothing behind that works on the rack or in its folder.
func (r *rig) end(t testing.TB) {
	attached.End(r.url)
	if err := r.lab.Close(); err != nil {
		t.Error(err)
	}
	reports, _ := filepath.Glob(filepath.Join(filepath.Dir(r.url), "race.*"))
	for _, report := range reports {
		text, err := os.ReadFile(report)
		t.Errorf("a plugin or worker has a race: %s, %v", text, err)
	}
}

// await looks until a machine is as wanted.
func (r *rig) await(t testing.TB, name string, wanted func(core.Machine) bool) error {
	e := r.engine(t)
	ctx, cancel := context.WithTimeout(context.Background(), r.patience)
	defer cancel()
	for {
		m, err := e.MachineNamed(ctx, "e2e", name)
		if err == nil && wanted(m) {
			return nil
		}
		if err != nil && !core.Is(err, core.NotFound) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("machine %s is still %s", name, m.State)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
