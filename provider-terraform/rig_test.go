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

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/internal/attached"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/provider-terraform/provider"
)

// The tests' own engine, and providers that run in the test, start this binary again
// where they need a worker.
func TestMain(m *testing.M) {
	if open.RunWorker() {
		return
	}
	// What the user of this machine told terraform is not for the tests.
	for name, value := range map[string]string{"TF_CLI_CONFIG_FILE": os.DevNull, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	status := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(status)
}

// built is the provider as users have it, built once for all tests.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func providerDir(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		//nolint:usetesting // it outlives the test that comes first
		if built.dir, built.err = os.MkdirTemp("", "metalpool-provider-"); built.err != nil {
			return
		}
		args := []string{"build", "-o", filepath.Join(built.dir, "terraform-provider-metalpool")}
		if info, _ := debug.ReadBuildInfo(); info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
			args = append(args, "-race")
		}
		if out, err := exec.CommandContext(context.Background(), "go", append(args, ".")...).CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.dir
}

// patience is far beyond what anything here takes on a busy machine.
const patience = 3 * time.Minute

const owner = "e2e"

// key is a public key that nobody has the private half of.
const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEdQVC7RBMF5JYcZDrR2zVSpFUs+yP4YSAlOhgmsAr9X test"

// rig is a virtual rack and a pool that owns it.
type rig struct {
	lab *lab.Lab
	url string // of the pool
	dir string
}

// bareRig starts a rack whose nodes nobody has enrolled, and makes files of images: the
// pool is empty.
func bareRig(t testing.TB, nodes int) *rig {
	t.Helper()
	dir := t.TempDir()
	r := &rig{url: filepath.Join(dir, "pool.db"), dir: dir}
	var err error
	if r.lab, err = lab.Up(t.Context(), lab.Config{Nodes: nodes, Dir: filepath.Join(dir, "lab")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.end(t) })
	for _, name := range labImages {
		f, err := os.Create(r.image(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(lab.WriteImage(f), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	r.engine(t)
	return r
}

var labImages = []string{"lab", "lab-2"}

// image is where an image's file is.
func (r *rig) image(name string) string { return filepath.Join(r.dir, name+".raw") }

// newRig starts a rack of nodes that are clean and ready.
func newRig(t testing.TB, nodes int) *rig {
	t.Helper()
	r := bareRig(t, nodes)
	e := r.engine(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, name := range labImages {
		if _, err := e.AddImage(ctx, core.Image{Name: name, Source: r.image(name), Arch: "amd64", User: "debian"}, nil); err != nil {
			t.Fatal(err)
		}
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
	return r
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
	ctx, cancel := context.WithTimeout(t.Context(), patience)
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

// end leaves nothing behind that works on the rack or in its folder.
func (r *rig) end(t testing.TB) {
	attached.End(r.url)
	if err := r.lab.Close(); err != nil {
		t.Error(err)
	}
}

// machine finds one by its name; false where there is none.
func (r *rig) machine(t testing.TB, name string) (core.Machine, bool) {
	t.Helper()
	m, err := r.engine(t).MachineNamed(t.Context(), owner, name)
	if err != nil && !core.Is(err, core.NotFound) {
		t.Fatal(err)
	}
	return m, err == nil
}

// await looks until a machine is as wanted.
func (r *rig) await(t testing.TB, name string, wanted func(core.Machine) bool) core.Machine {
	t.Helper()
	e := r.engine(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		m, err := e.MachineNamed(ctx, owner, name)
		if err == nil && wanted(m) {
			return m
		}
		if err != nil && !core.Is(err, core.NotFound) {
			t.Fatal(err)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("machine %s is still %s", name, m.State)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// givenBack checks that all servers are free, and that the pool has no machine.
func (r *rig) givenBack(t testing.TB) {
	t.Helper()
	r.settle(t)
	e := r.engine(t)
	machines, err := e.Machines(t.Context(), core.AllocationFilter{Live: true})
	if err != nil || len(machines) > 0 {
		t.Errorf("machines are left: %v, %v", machines, err)
	}
	nodes, err := e.Nodes(t.Context(), core.NodeFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if n.State != core.Available {
			t.Errorf("%s is %s: %s", n.ID, n.State, n.Reason)
		}
	}
}

// inProcess are providers that run in the test, under its race detector.
func inProcess() map[string]func() (tfprotov6.ProviderServer, error) {
	return map[string]func() (tfprotov6.ProviderServer, error){"metalpool": providerserver.NewProtocol6WithError(provider.New("test")())}
}

// block is the provider's block for the rig.
func (r *rig) block() string {
	return fmt.Sprintf("provider \"metalpool\" {\n  url   = %q\n  owner = %q\n}\n", r.url, owner)
}

// work is a folder with a configuration in which the real terraform runs the real
// provider.
type work struct {
	r         *rig
	terraform string
	dir       string
	settings  []string
}

func (r *rig) newWork(t testing.TB, config string) *work {
	t.Helper()
	w := &work{r: r, terraform: needs.Terraform(t), dir: t.TempDir()}
	cli := filepath.Join(w.dir, "cli.tfrc")
	text := fmt.Sprintf("provider_installation {\n  dev_overrides {\n    %q = %q\n  }\n  direct {}\n}\n", "registry.terraform.io/metalpool/metalpool", providerDir(t))
	if err := os.WriteFile(cli, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.settings = []string{"TF_CLI_CONFIG_FILE=" + cli, "METALPOOL_URL=" + r.url, "METALPOOL_OWNER=" + owner, "HOME=" + w.dir}
	w.write(t, config)
	return w
}

const sources = "terraform {\n  required_providers {\n    metalpool = {\n      source = \"metalpool/metalpool\"\n    }\n  }\n}\n"

func (w *work) write(t testing.TB, config string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "main.tf"), []byte(sources+config), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *work) command(t testing.TB, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), w.terraform, args...)
	cmd.Dir, cmd.Env = w.dir, append(os.Environ(), w.settings...)
	return cmd
}

// run runs terraform, which must succeed.
func (w *work) run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := w.command(t, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("terraform %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (w *work) apply(t testing.TB) string { return w.run(t, "apply", "-auto-approve", "-no-color") }
func (w *work) destroy(t testing.TB)      { w.run(t, "destroy", "-auto-approve", "-no-color") }
