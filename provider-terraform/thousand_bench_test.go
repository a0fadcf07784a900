//go:build bench && linux

package main_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/internal/bench"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab"
)

const (
	benchMachines = 1000
	benchRounds   = 3
)

// TestBenchThousand compares an apply and a plan of 1,000 machines, on a rack that
// takes no time, with the same through a provider that only answers.
func TestBenchThousand(t *testing.T) {
	n := machines(t)
	r := newBenchRack(t, n, lab.Times{})
	ours, theirs := providerDir(t), bareDir(t)
	var applies, plans [2][]spent // of the bare provider, and of ours
	for i := range benchRounds {
		for who, dir := range []string{theirs, ours} {
			w := r.newBenchWork(t, n, dir, fmt.Sprintf("round-%d-%d", i, who))
			applies[who] = append(applies[who], w.terraformed("apply", "-auto-approve"))
			plans[who] = append(plans[who], w.terraformed("plan", "-detailed-exitcode"))
			w.checkState(n)
			r.turnOff(t)
		}
	}
	out := []string{fmt.Sprintf("terraform, %d machines, %d rounds in turn (wall, CPU of terraform and the provider, CPU of the rack, the provider's peak):", n, benchRounds)}
	for name, all := range map[string][2][]spent{"apply": applies, "plan": plans} {
		for who, of := range all {
			for _, s := range of {
				out = append(out, fmt.Sprintf("  %-6s %-9s %v", name, [2]string{"bare", "metalpool"}[who], s))
			}
		}
	}
	bench.Tell(t, strings.Join(out, "\n"))
	var peak float64
	for _, s := range append(applies[1], plans[1]...) {
		peak = max(peak, s.peak)
	}
	name := fmt.Sprintf("terraform, %d machines: ", n)
	for verb, all := range map[string][2][]spent{"apply": applies, "plan with refresh": plans} {
		bare := median(all[0], func(s spent) float64 { return s.wall.Seconds() })
		bench.Record(t, bench.Result{
			Name: name + verb, Value: median(all[1], func(s spent) float64 { return s.wall.Seconds() }) / bare, Op: "<=", Bound: 1.5, Unit: "×",
			Against: fmt.Sprintf("a provider with the same schema that only answers (%.1f s)", bare),
		})
	}
	bench.Record(t, bench.Result{Name: name + "memory of the provider, peak", Value: peak, Op: "<=", Bound: 300, Unit: "MiB", Against: "the process as the kernel counts it"})
}

// machines is how many there are to be; fewer while one looks for what takes long.
func machines(t *testing.T) int {
	t.Helper()
	text := os.Getenv("METALPOOL_BENCH_MACHINES")
	if text == "" {
		return benchMachines
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// bareDir is where the provider is that does nothing.
func bareDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "terraform-provider-metalpool"), "./testdata/bare").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// benchRack is a rack whose servers are clean, and a pool of them that nobody has taken
// anything of yet: each round begins with a copy of it.
type benchRack struct {
	lab  *lab.Lab
	pool string // folder
}

func newBenchRack(t *testing.T, nodes int, times lab.Times) *benchRack {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if need := uint64(12 * nodes); limit.Max < need {
		t.Fatalf("%d nodes need some %d open files, and the hard limit is %d: raise it (ulimit -Hn)", nodes, need, limit.Max)
	}
	r := &benchRack{pool: filepath.Join(t.TempDir(), "pool")}
	var err error
	if r.lab, err = lab.Up(t.Context(), lab.Config{Nodes: nodes, Dir: filepath.Join(t.TempDir(), "lab"), Times: &times}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.lab.Close(); err != nil {
			t.Error(err)
		}
	})
	e, err := open.Engine(t.Context(), filepath.Join(r.pool, "pool.db"), open.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	image := filepath.Join(r.pool, "image.raw")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := lab.WriteImage(f); err != nil {
		t.Fatal(err)
	}
	if _, err := e.AddImage(t.Context(), core.Image{Name: "lab", Source: image, Arch: "amd64", User: "debian"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := e.SetPool(t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "lab"}); err != nil {
		t.Fatal(err)
	}
	enrol, ctx := errgroup.WithContext(t.Context())
	enrol.SetLimit(32)
	for _, n := range r.lab.Rack().Nodes {
		enrol.Go(func() error {
			in := n.Enrollment()
			in.Erase = true
			_, err := e.Enroll(ctx, in, nil)
			return err
		})
	}
	if err := enrol.Wait(); err != nil {
		t.Fatal(err)
	}
	if given, err := e.Work(t.Context()); err != nil || len(given) > 0 {
		t.Fatalf("not cleaned: %v, %v", given, err)
	}
	return r
}

// turnOff ends what a round left running.
func (r *benchRack) turnOff(t *testing.T) {
	t.Helper()
	for _, n := range r.lab.Nodes() {
		n.PowerOff(false)
	}
}

// benchWork is a folder in memory with a configuration: the syncs of the state file
// would hide everything else.
type benchWork struct {
	t         *testing.T
	lab       *lab.Lab
	terraform string
	dir, url  string
	settings  []string
}

func (r *benchRack) newBenchWork(t *testing.T, n int, provider, name string) *benchWork {
	t.Helper()
	pool := filepath.Join(filepath.Dir(r.pool), name)
	if err := os.CopyFS(pool, os.DirFS(r.pool)); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/dev/shm", "metalpool-bench-") //nolint:usetesting // a tmpfs
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &benchWork{t: t, lab: r.lab, terraform: needs.Terraform(t), dir: dir, url: filepath.Join(pool, "pool.db")}
	if err := os.Chmod(w.url+".key", 0o600); err != nil {
		t.Fatal(err)
	}
	cli := filepath.Join(dir, "cli.tfrc")
	for path, text := range map[string]string{
		cli:                           fmt.Sprintf("provider_installation {\n  dev_overrides {\n    %q = %q\n  }\n  direct {}\n}\n", "registry.terraform.io/metalpool/metalpool", provider),
		filepath.Join(dir, "main.tf"): sources + fmt.Sprintf("resource \"metalpool_machine\" \"web\" {\n  count    = %d\n  name     = \"web-${count.index}\"\n  ssh_keys = [%q]\n}\n", n, key),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.settings = []string{"TF_CLI_CONFIG_FILE=" + cli, "METALPOOL_URL=" + w.url, "METALPOOL_OWNER=" + owner, "HOME=" + dir}
	return w
}

// spent is what one run took.
type spent struct {
	wall     time.Duration
	cpu, lab time.Duration // of terraform and its provider; of the rack
	peak     float64       // memory of the provider, in MiB
}

func (s spent) String() string {
	return fmt.Sprintf("%6.2f s %6.2f s %6.2f s %4.0f MiB", s.wall.Seconds(), s.cpu.Seconds(), s.lab.Seconds(), s.peak)
}

func median(of []spent, value func(spent) float64) float64 {
	var values []float64
	for _, s := range of {
		values = append(values, value(s))
	}
	return bench.Median(values)
}

// terraformed runs terraform, which must succeed.
func (w *benchWork) terraformed(args ...string) spent {
	w.t.Helper()
	var said strings.Builder
	cmd := exec.CommandContext(w.t.Context(), w.terraform, append(args, "-no-color")...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.dir, append(os.Environ(), w.settings...), &said, &said
	began, rack := time.Now(), ownCPU(w.t)
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	watched, end := context.WithCancel(w.t.Context())
	peak := make(chan float64)
	go func() { peak <- peakOfProviders(watched, cmd.Process.Pid) }()
	err := cmd.Wait()
	s := spent{wall: time.Since(began), lab: ownCPU(w.t) - rack}
	end()
	s.peak = <-peak
	if err != nil {
		text := said.String()
		w.t.Fatalf("terraform %v: %v\n%s", args, err, text[max(0, len(text)-8<<10):])
	}
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	w.t.Logf("%s %v: %v", filepath.Base(filepath.Dir(w.url)), args, s)
	return s
}

// checkState fails unless every machine is in the state.
func (w *benchWork) checkState(n int) {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "terraform.tfstate"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Logf("the state has %d KiB", len(text)>>10)
	if have := strings.Count(string(text), `"ssh_known_hosts": "`); have != n {
		w.t.Errorf("the state has %d machines, want %d", have, n)
	}
}

// peakOfProviders watches the children of a process, until ctx ends, and returns the
// most memory that one of them has ever had, in MiB.
func peakOfProviders(ctx context.Context, parent int) (most float64) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
		for _, list := range lists {
			children, _ := os.ReadFile(list)
			for _, pid := range strings.Fields(string(children)) {
				status, _ := os.ReadFile("/proc/" + pid + "/status")
				for line := range strings.Lines(string(status)) {
					if size, found := strings.CutPrefix(line, "VmHWM:"); found {
						kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(size), " kB"), 64)
						most = max(most, kib/1024)
					}
				}
			}
		}
		select {
		case <-ctx.Done():
			return most
		case <-tick.C:
		}
	}
}

// ownCPU is the processor time of this process, in which the rack is.
func ownCPU(t *testing.T) time.Duration {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now); err != nil {
		t.Fatal(err)
	}
	return time.Duration(now.Nano())
}
