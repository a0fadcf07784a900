//go:build bench

package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
	"github.com/metalpool/metalpool/core/api/client"
	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/internal/bench"
)

// TestBenchThroughServer compares acquire + release through a server with the same on
// the store itself, in turns.
func TestBenchThroughServer(t *testing.T) {
	r := newRig(t, 4)
	s := r.serve("")
	c, e := s.client(r.operator()), s.engine
	var through, direct []float64
	once := func(service core.Service, i int, into *[]float64) {
		o := order(fmt.Sprintf("b%d", i))
		o.Owner = "bench"
		began := time.Now()
		_, err := service.Allocate(t.Context(), o, nil)
		if err == nil {
			err = service.Release(t.Context(), o.ID, core.ReleaseOptions{}, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		*into = append(*into, float64(time.Since(began)))
	}
	for i := range 300 {
		once(e, 2*i, &direct)
		once(c, 2*i+1, &through)
	}
	bench.Record(t, bench.Result{Name: "acquire+release through a server, p50", Value: bench.Median(through) / bench.Median(direct), Op: "<=", Bound: 3, Unit: "×", Against: "the same on the store itself"})
}

// TestBenchFollowers has a thousand clients follow a server, each by a connection of
// its own.
func TestBenchFollowers(t *testing.T) {
	const followers = 1000
	dir := t.TempDir()
	program, pool := filepath.Join(dir, "metalpool"), filepath.Join(dir, "pool.db")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../../cmd/metalpool")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	secret := heldPool(t, pool)
	cmd := exec.CommandContext(t.Context(), program, "serve", "--listen", "127.0.0.1:0", "-o", "json")
	cmd.Env = append(os.Environ(), "METALPOOL_URL="+pool)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ready struct{ URL, Fingerprint string }
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	check, err := client.Pinned(ready.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	o := order("waits")
	o.Wait = time.Hour
	order := api.NewOrder(o)
	order.AllocateOnly = true // of an image nothing is asked
	body, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	// ask returns once an answer has begun. It is closed with the test, since what is
	// measured is a server that many follow.
	ask := func(method, path, body string, want int) error {
		req, err := http.NewRequestWithContext(t.Context(), method, ready.URL+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(api.HeaderRequest, "r-1")
		tr := &http.Transport{TLSClientConfig: check.Clone(), ForceAttemptHTTP2: true}
		resp, err := (&http.Client{Transport: tr}).Do(req)
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.StatusCode != want {
			return fmt.Errorf("%s %s: %s, want %d", method, path, resp.Status, want)
		}
		_, err = bufio.NewReader(resp.Body).ReadString('\n')
		return err
	}
	if err := ask(http.MethodPut, "/v1/machines/m-waits", string(body), http.StatusAccepted); err != nil {
		t.Fatal(err)
	}
	idle := resident(t, cmd.Process.Pid)
	var wg sync.WaitGroup
	gate := make(chan struct{}, 50) // handshakes at a time
	for range followers {
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			if err := ask(http.MethodGet, api.ProgressPath("r-1"), "", http.StatusOK); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	bench.Record(t, bench.Result{Name: "a server with 1,000 followers, resident", Value: resident(t, cmd.Process.Pid), Op: "<=", Bound: 256, Unit: "MiB", Against: fmt.Sprintf("%.0f MiB without", idle)})
}

// heldPool makes a pool whose only node is taken, and an operator's token.
func heldPool(t *testing.T, path string) string {
	t.Helper()
	e, err := open.Engine(t.Context(), path, open.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.SetPool(t.Context(), core.Pool{Name: core.DefaultPool}); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	node := core.Node{ID: "n1", Pool: core.DefaultPool, State: core.Available, Hardware: core.Hardware{Arch: "amd64"}}
	node.Spec.BMC.URL = "https://n1.invalid"
	if err := store.Update(t.Context(), func(tx core.Tx) error { return tx.InsertNode(node) }); err != nil {
		t.Fatal(err)
	}
	_, err = e.Allocate(context.WithoutCancel(t.Context()), core.Order{ID: "m-holder", Owner: "bench", Name: "holder", AcquireTimeout: time.Hour}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := e.CreateToken(t.Context(), core.TokenOrder{Name: "ops", Role: core.RoleOperator})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// resident is a process's memory, in MiB.
func resident(t *testing.T, pid int) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	var kib float64
	if _, err := fmt.Sscan(after, &kib); err != nil {
		t.Fatal(err)
	}
	return kib / 1024
}
