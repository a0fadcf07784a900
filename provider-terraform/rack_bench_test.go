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

	"github.com/diskfs/go-diskfs/partition/gpt"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/lab"
)

// benchRack is a rack whose servers are clean, and a pool of them that nobody has taken
// anything of yet: each round begins with a copy of it.
type benchRack struct {
	lab   *lab.Lab
	dir   string
	nodes int
}

func newBenchRack(t *testing.T, nodes int) *benchRack {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if need := uint64(12 * nodes); limit.Max < need {
		t.Fatalf("%d nodes need some %d open files, and the hard limit is %d: raise it (ulimit -Hn)", nodes, need, limit.Max)
	}
	r := &benchRack{dir: t.TempDir(), nodes: nodes}
	r.start(t, lab.Times{})
	t.Cleanup(func() {
		if err := r.lab.Close(); err != nil {
			t.Error(err)
		}
	})
	r.fill(t)
	return r
}

func (r *benchRack) start(t *testing.T, times lab.Times) {
	t.Helper()
	var err error
	if r.lab, err = lab.Up(t.Context(), lab.Config{Nodes: r.nodes, Dir: filepath.Join(r.dir, "lab"), Times: &times}); err != nil {
		t.Fatal(err)
	}
}

// restarted is the same rack, all of it off, with other times.
func (r *benchRack) restarted(t *testing.T, times lab.Times) *benchRack {
	t.Helper()
	r.turnOff()
	if err := r.lab.Close(); err != nil {
		t.Fatal(err)
	}
	r.start(t, times)
	return r
}

// turnOff ends what a round left running.
func (r *benchRack) turnOff() {
	for _, n := range r.lab.Nodes() {
		n.PowerOff(false)
	}
}

// pool is the folder of the pool that nobody has taken anything of.
func (r *benchRack) pool() string { return filepath.Join(r.dir, "pool") }

// fill makes the pool: every node is enrolled and erased.
func (r *benchRack) fill(t *testing.T) {
	t.Helper()
	try := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	e, err := open.Engine(t.Context(), filepath.Join(r.pool(), "pool.db"), open.Options{Create: true})
	try(err)
	image := filepath.Join(r.pool(), "image.raw")
	try(writeTinyImage(image))
	_, err = e.AddImage(t.Context(), core.Image{Name: "tiny", Source: image, Arch: "amd64", User: "debian"}, nil)
	try(err)
	try(e.SetPool(t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "tiny"}))
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
	try(enrol.Wait())
	given, err := e.Work(t.Context())
	try(err)
	if len(given) > 0 {
		t.Fatalf("not cleaned: %v", given)
	}
	try(e.Close())
}

// writeTinyImage writes a disk with an empty partition. A simulated node starts it, and
// to lay it down is no work: in a real rack the servers' own processors do that.
func writeTinyImage(path string) error {
	const size, sector = 4 << 20, 512
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return err
	}
	table := &gpt.Table{LogicalSectorSize: sector, PhysicalSectorSize: sector, ProtectiveMBR: true, Partitions: []*gpt.Partition{
		{Index: 1, Start: 2048, End: 4095, Type: gpt.LinuxFilesystem, Name: "root"},
	}}
	return table.Write(f, size)
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

// benchWork is a folder in memory with a configuration: the syncs of the state file
// would hide everything else. The pool is on the disk, where people have it.
type benchWork struct {
	t         *testing.T
	terraform string
	dir, pool string
	settings  []string
}

func (r *benchRack) newBenchWork(t *testing.T, provider, name string) *benchWork {
	t.Helper()
	w := &benchWork{t: t, terraform: realTerraform(t), pool: filepath.Join(r.dir, name)}
	if err := os.CopyFS(w.pool, os.DirFS(r.pool())); err != nil {
		t.Fatal(err)
	}
	url := filepath.Join(w.pool, "pool.db")
	if err := os.Chmod(url+".key", 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.dir, err = os.MkdirTemp("/dev/shm", "metalpool-bench-"); err != nil { //nolint:usetesting // a tmpfs
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(w.dir) })
	cli := filepath.Join(w.dir, "cli.tfrc")
	for path, text := range map[string]string{
		cli:                             fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"metalpool/metalpool\" = %q\n  }\n  direct {}\n}\n", provider),
		filepath.Join(w.dir, "main.tf"): sources + fmt.Sprintf("resource \"metalpool_machine\" \"web\" {\n  count    = %d\n  name     = \"web-${count.index}\"\n  ssh_keys = [%q]\n}\n", r.nodes, key),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.settings = []string{"TF_CLI_CONFIG_FILE=" + cli, "METALPOOL_URL=" + url, "METALPOOL_OWNER=" + owner, "HOME=" + w.dir}
	return w
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
	go func() { peak <- peakOfChildren(watched, cmd.Process.Pid) }()
	err := cmd.Wait()
	s := spent{wall: time.Since(began), lab: ownCPU(w.t) - rack}
	end()
	s.peak = <-peak
	if err != nil {
		text := said.String()
		w.t.Fatalf("terraform %v: %v\n%s", args, err, text[max(0, len(text)-8<<10):])
	}
	// With those of the provider, which terraform has waited for.
	s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	w.t.Logf("%s: %v: %v", filepath.Base(w.pool), args, s)
	return s
}

// checkState fails unless every machine is in the state, whole.
func (w *benchWork) checkState(n int) {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "terraform.tfstate"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Logf("%s: the state has %d KiB", filepath.Base(w.pool), len(text)>>10)
	if have := strings.Count(string(text), `"ssh_known_hosts": "`); have != n {
		w.t.Errorf("the state has %d machines, want %d", have, n)
	}
}

// peakOfChildren watches the children of a process until ctx ends, and returns the most
// memory that one of them has ever had, in MiB.
func peakOfChildren(ctx context.Context, parent int) (most float64) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
		for _, list := range lists {
			children, _ := os.ReadFile(list)
			for pid := range strings.FieldsSeq(string(children)) {
				status, _ := os.ReadFile("/proc/" + pid + "/status")
				_, size, _ := strings.Cut(string(status), "VmHWM:")
				size, _, _ = strings.Cut(size, "kB")
				kib, _ := strconv.ParseFloat(strings.TrimSpace(size), 64)
				most = max(most, kib/1024)
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
