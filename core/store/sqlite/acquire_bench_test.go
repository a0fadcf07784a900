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
	"github.com/metalpool/metalpool/core/storetest"
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
	noneTwice(t, large)

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
			if err := tx.InsertNode(storetest.BenchNode(i)); err != nil {
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
	pair := func(int) error { return storetest.AcquireRelease(ctx, e) }
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
		if n, err = tx.Node(storetest.BenchNodeID(i * 7919 % 10_000)); err != nil {
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

// noneTwice is storetest's of the store at path.
func noneTwice(t *testing.T, path string) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	storetest.NoneTwice(t, s)
}
