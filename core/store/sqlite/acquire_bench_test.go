//go:build bench

package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/internal/bench"
)

// The bench's child processes are this binary with a role in the environment.
const (
	envRole  = "METALPOOL_BENCH_ROLE"
	envStore = "METALPOOL_BENCH_STORE"
	envFor   = "METALPOOL_BENCH_FOR"
	envShift = "METALPOOL_BENCH_SHIFT"
)

// TestBenchAcquire compares acquire + release with a process that writes the same
// rows by IDs that it knows.
func TestBenchAcquire(t *testing.T) {
	large := fill(t, 10_000)
	const rounds = 5
	var one, eight, fair []float64
	for range rounds {
		base := rate(t, large, "known", 1)[0]
		one = append(one, rate(t, large, "acquire", 1)[0]/base)
		all := rate(t, large, "acquire", 8)
		total, slowest := 0.0, all[0]
		for _, r := range all {
			total += r
			slowest = min(slowest, r)
		}
		eight = append(eight, total/base)
		fair = append(fair, slowest/(total/8))
	}
	against := "one process that writes the same rows by known ID"
	bench.Record(t, bench.Result{Name: "acquire+release, 10,000 nodes, 1 process", Value: bench.Median(one), Op: ">=", Bound: 0.6, Unit: "×", Against: against})
	bench.Record(t, bench.Result{Name: "acquire+release, 10,000 nodes, 8 processes", Value: bench.Median(eight), Op: ">=", Bound: 0.4, Unit: "×", Against: against})
	bench.Record(t, bench.Result{Name: "slowest of 8 processes", Value: bench.Median(fair), Op: ">=", Bound: 0.5, Unit: "×", Against: "the mean of the 8"})
	twice(t, large)

	small := fill(t, 100)
	var growth []float64
	for range rounds {
		growth = append(growth, rate(t, small, "acquire", 1)[0]/rate(t, large, "acquire", 1)[0])
	}
	bench.Record(t, bench.Result{Name: "acquire+release at 10,000 nodes", Value: bench.Median(growth), Op: "<=", Bound: 1.5, Unit: "×", Against: "the same at 100 nodes"})
}

// fill makes a pool of Available nodes of different hardware.
func fill(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pool.db")
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path, sqlite.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.Update(ctx, func(tx core.Tx) error {
		for i := range n {
			if err := tx.InsertNode(benchNode(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func benchNode(i int) core.Node {
	n := core.Node{ID: nodeID(i), Pool: core.DefaultPool, State: core.Available, Version: 1, Since: time.Now()}
	n.Spec.Labels = map[string]string{"rack": fmt.Sprintf("r%d", i%40), "zone": fmt.Sprintf("z%d", i%3)}
	n.Spec.Identity = core.Identity{Serial: fmt.Sprintf("SN%06d", i), MACs: []string{fmt.Sprintf("02:00:00:%02x:%02x:%02x", i>>16, i>>8&255, i&255)}}
	n.Spec.BMC = core.Endpoint{Backend: "redfish", URL: fmt.Sprintf("https://127.%d.%d.%d", 1+i>>16, i>>8&255, i&255), User: "admin", Secret: make([]byte, 200), TLS: core.TLSCheck{Fingerprint: strings.Repeat("ab", 32)}}
	n.Hardware = core.Hardware{Manufacturer: "Example", Model: "S1", Arch: "amd64", CPUs: 32, Memory: 128 * core.GiB,
		Disks: []core.Disk{{Serial: fmt.Sprintf("D%06d", i), Kind: core.NVMe, Size: 480e9}}, NICs: []core.NIC{{MAC: n.Spec.Identity.MACs[0], Mbps: 25000}}}
	return n
}

func nodeID(i int) core.NodeID { return core.NodeID(fmt.Sprintf("node-%05d", i)) }

// period is how long processes are measured.
const period = 2 * time.Second

// rate runs processes side by side for that period, all starting at once, and returns
// acquire + release pairs per second of each.
func rate(t *testing.T, store, role string, processes int) []float64 {
	t.Helper()
	type child struct {
		cmd *exec.Cmd
		out *bufio.Reader
	}
	var children []child
	gate, open, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	for i := range processes {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBenchChild$")
		cmd.Env = append(os.Environ(), envRole+"="+role, envStore+"="+store, envFor+"="+period.String(), envShift+"="+strconv.Itoa(i))
		cmd.Stdin, cmd.Stderr = gate, os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		children = append(children, child{cmd, bufio.NewReader(out)})
	}
	for _, c := range children {
		expect(t, c.out, "ready")
	}
	gate.Close()
	open.Close() // all see the end of their input at once
	var rates []float64
	for _, c := range children {
		pairs, err := strconv.ParseFloat(expect(t, c.out, "rate "), 64)
		if err != nil {
			t.Fatal(err)
		}
		rates = append(rates, pairs)
		if err := c.cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	return rates
}

func expect(t *testing.T, r *bufio.Reader, prefix string) string {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), prefix); ok {
			return rest
		}
		if err != nil {
			t.Fatalf("waiting for %q: %v", prefix, err)
		}
	}
}

// TestBenchChild is one process of a bench.
func TestBenchChild(t *testing.T) {
	role := os.Getenv(envRole)
	if role == "" {
		return // only TestBenchAcquire starts it
	}
	ctx := context.Background()
	s, err := sqlite.Open(ctx, os.Getenv(envStore), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	period, err := time.ParseDuration(os.Getenv(envFor))
	if err != nil {
		t.Fatal(err)
	}
	e := core.New(core.Config{Store: s})
	pair := func(int) error { return acquireRelease(ctx, e) }
	if role == "known" {
		pair = func(i int) error { return knownRows(ctx, s, i) }
	}
	for i := range 20 { // statements and caches are warm before it counts
		if err := pair(-1 - i); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadByte() // all start when the pipe is closed
	began, n := time.Now(), 0
	for time.Since(began) < period {
		if err := pair(n); err != nil {
			t.Fatal(err)
		}
		n++
	}
	fmt.Printf("rate %f\n", float64(n)/time.Since(began).Seconds())
}

func acquireRelease(ctx context.Context, e *core.Engine) error {
	id := core.AllocationID(core.NewID("b"))
	o := core.Order{ID: id, Owner: "bench", Name: string(id), Request: core.Request{Pool: core.DefaultPool}}
	if _, err := e.Acquire(ctx, o, nil); err != nil {
		return err
	}
	return e.Release(ctx, id, core.ReleaseOptions{}, nil)
}

// knownRows writes what an acquire and a release write, without looking for
// anything: node, allocation and event, twice.
func knownRows(ctx context.Context, s core.Store, i int) error {
	if i < 0 {
		i = -i
	}
	id := core.AllocationID(core.NewID("k"))
	a := core.Allocation{ID: id, Owner: "bench", Name: string(id), State: core.Allocated, Request: core.Request{Pool: core.DefaultPool}}
	var n core.Node
	err := s.Update(ctx, func(tx core.Tx) (err error) {
		if n, err = tx.Node(nodeID(i * 7919 % 10_000)); err != nil {
			return err
		}
		n.State, n.Allocation, n.Since = core.Allocated, id, tx.Now()
		if err := tx.SwapNode(n); err != nil {
			return err
		}
		a.Node, a.CreatedAt, a.Deadline = n.ID, tx.Now(), tx.Now().Add(time.Minute)
		if err := tx.InsertAllocation(a); err != nil {
			return err
		}
		return tx.AddEvent(core.Event{Node: n.ID, Allocation: id, Type: core.StateChanged, From: core.Available, To: core.Allocated, On: core.Claim})
	})
	if err != nil {
		return err
	}
	n.Version++
	return s.Update(ctx, func(tx core.Tx) error {
		n.State, n.Allocation, n.Since = core.Available, "", tx.Now()
		if err := tx.SwapNode(n); err != nil {
			return err
		}
		a.State, a.EndedAt = core.Released, tx.Now()
		if err := tx.SwapAllocation(a); err != nil {
			return err
		}
		return tx.AddEvent(core.Event{Node: n.ID, Allocation: id, Type: core.StateChanged, From: core.Allocated, To: core.Available, On: core.Release})
	})
}

// twice looks through the whole story of the store for a node that was claimed while
// somebody had it.
func twice(t *testing.T, path string) {
	t.Helper()
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	holder := map[core.NodeID]core.AllocationID{}
	err = s.View(ctx, func(tx core.Tx) error {
		for ev, err := range tx.Events(core.EventFilter{}) {
			if err != nil {
				return err
			}
			switch {
			case ev.To == core.Allocated && holder[ev.Node] != "":
				t.Errorf("event %d gives %s to %s while %s has it", ev.Seq, ev.Node, ev.Allocation, holder[ev.Node])
			case ev.To == core.Allocated:
				holder[ev.Node] = ev.Allocation
			case ev.To == core.Available:
				delete(holder, ev.Node)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
