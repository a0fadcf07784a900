//go:build bench

package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/machine/libmachine/drivers"
	machine "github.com/docker/machine/libmachine/version"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/driver-machine/driver"
	"github.com/metalpool/metalpool/internal/bench"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab/bmc"
)

const (
	benchMachines = 50
	benchRounds   = 9
)

// TestBenchList compares `docker-machine ls` of 50 machines, each with a BMC to be
// asked for its power, with the same through a plugin that only answers.
func TestBenchList(t *testing.T) {
	bin := t.TempDir()
	dockerMachine := needs.DockerMachine(t)
	build(t, bin, "docker-machine-driver-metalpool", ".")
	build(t, bin, "docker-machine-driver-bare", "./testdata/bare")
	pool := deployedPool(t)

	// Nobody listens there: what asking a Docker engine costs is not the driver's.
	const url = "tcp://127.0.0.1:1"
	list := map[string]func() time.Duration{}
	for name, d := range map[string]func(i int) any{
		"metalpool": func(i int) any {
			return &driver.Driver{BaseDriver: base(i), URL: pool, AllocationID: allocationID(i), DockerPort: 1}
		},
		"bare": func(i int) any {
			return map[string]any{"MachineName": machineName(i), "IPAddress": "127.0.0.1", "URL": url}
		},
	} {
		store := filepath.Join(t.TempDir(), name)
		run := func(args ...string) (string, time.Duration) {
			cmd := exec.CommandContext(t.Context(), dockerMachine, args...)
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "MACHINE_STORAGE_PATH="+store)
			began := time.Now()
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("docker-machine %v: %v: %s", args, err, out)
			}
			return string(out), time.Since(began)
		}
		run("create", "-d", "none", "--url", url, "ca")
		run("rm", "-f", "ca")
		for i := range benchMachines {
			writeMachine(t, store, name, i, d(i))
		}
		list[name] = func() time.Duration {
			out, took := run("ls", "--format", "{{.Name}} {{.State}} {{.URL}}")
			if got := strings.Count(out, " Running "+url+"\n"); got != benchMachines {
				t.Fatalf("%s shows %d of %d machines:\n%s", name, got, benchMachines, out)
			}
			return took
		}
	}
	list["bare"]() // what is read from the disk the first time
	list["metalpool"]()
	var ours, theirs []float64
	for range benchRounds {
		theirs = append(theirs, list["bare"]().Seconds())
		ours = append(ours, list["metalpool"]().Seconds())
	}
	bench.Record(t, bench.Result{
		Name: fmt.Sprintf("docker-machine ls, %d machines", benchMachines), Value: bench.Median(ours) / bench.Median(theirs), Op: "<=", Bound: 2, Unit: "×",
		Against: fmt.Sprintf("a plugin that only answers (%.0f ms)", bench.Median(theirs)*1000),
	})
}

func build(t *testing.T, bin, name, source string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(bin, name), source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v: %s", name, err, out)
	}
}

func machineName(i int) string { return fmt.Sprintf("web-%d", i) }

func allocationID(i int) core.AllocationID {
	return core.AllocationID(fmt.Sprintf("dm-bench-%d", i))
}

func base(i int) *drivers.BaseDriver {
	return &drivers.BaseDriver{MachineName: machineName(i), IPAddress: "127.0.0.1"}
}

// writeMachine writes docker-machine's record of a machine.
func writeMachine(t *testing.T, store, driverName string, i int, d any) {
	t.Helper()
	certs := filepath.Join(store, "certs")
	record := map[string]any{
		"ConfigVersion": machine.ConfigVersion, "Driver": d, "DriverName": driverName, "Name": machineName(i),
		"HostOptions": map[string]any{
			"EngineOptions": map[string]any{}, "SwarmOptions": map[string]any{},
			"AuthOptions": map[string]any{
				"CaCertPath": filepath.Join(certs, "ca.pem"), "ClientCertPath": filepath.Join(certs, "cert.pem"), "ClientKeyPath": filepath.Join(certs, "key.pem"),
			},
		},
	}
	text, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(store, "machines", machineName(i))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// deployedPool is a pool whose nodes are enrolled from real BMCs, and then written
// down as deployed.
func deployedPool(t *testing.T) string {
	t.Helper()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "pool.db")
	e, err := open.Engine(ctx, path, open.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	var nodes []core.Node
	for i := range benchMachines {
		n, err := e.Enroll(ctx, core.Enrollment{ID: core.NodeID(fmt.Sprintf("n%d", i)), URL: startBMC(t, i), User: "admin", Password: "correct horse"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(ctx, path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = store.Update(ctx, func(tx core.Tx) error {
		for i, n := range nodes {
			a := core.Allocation{
				ID: allocationID(i), Owner: "bench", Name: machineName(i), State: core.Deployed, Node: n.ID, CreatedAt: tx.Now(),
				Request: core.Request{Pool: core.DefaultPool}, Access: core.Access{Address: "127.0.0.1", DockerPort: 1},
			}
			if err := tx.InsertAllocation(a); err != nil {
				return err
			}
			stored, err := tx.Node(n.ID)
			if err != nil {
				return err
			}
			stored.State, stored.Allocation = core.Deployed, a.ID
			if err := tx.SwapNode(stored); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// server is a machine that is always on.
type server struct{ serial string }

func (s server) Power() bmc.PowerState { return bmc.On }
func (s server) PowerOn()              {}
func (s server) PowerOff(bool)         {}
func (s server) Restart(bool)          {}
func (s server) Facts() bmc.Facts      { return bmc.Facts{Serial: s.serial} }

func startBMC(t *testing.T, i int) string {
	t.Helper()
	b, err := bmc.New(bmc.Config{Machine: server{fmt.Sprintf("SN%04d", i)}, User: "admin", Password: "correct horse"})
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := bmc.NewCertificate("bmc", net.IPv4(127, 0, 0, 1))
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
	s := bmc.Serve(b, l, pair)
	t.Cleanup(func() { _ = s.Close() })
	return s.URL()
}
