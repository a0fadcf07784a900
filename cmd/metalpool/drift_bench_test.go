//go:build bench

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/internal/bench"
	"github.com/metalpool/metalpool/lab"
)

// TestBenchDrift compares a pool of 1,000 nodes with its profile, and holds that against
// what the same is read with from the same BMCs without a pool, as many at once.
func TestBenchDrift(t *testing.T) {
	const number = 1000
	attributes := core.BIOSAttributes{"LogicalProc": "Disabled"}
	rack, err := lab.Up(t.Context(), lab.Config{Dir: t.TempDir(), Nodes: number, Vendors: []string{"idrac9"}, Times: &lab.Times{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rack.Close(); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	t.Setenv("METALPOOL_URL", filepath.Join(dir, "pool.db"))
	file, declared := filepath.Join(dir, "rack.yaml"), filepath.Join(dir, "site.yaml")
	if err := rack.Rack().Write(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(declared, []byte("steps: [{name: cores, bios: {attributes: {LogicalProc: Disabled}}}]\nprofiles: [{name: base, steps: [cores]}]\npools: [{name: default, profile: base}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if got := command(t, "apply", "-f", declared, "-f", file); got.code != exitOK {
		t.Fatal(got.stderr)
	}
	enrolling := time.Since(began)

	known := map[core.NodeID]core.Endpoint{}
	store, err := behind(t.Context(), filepath.Join(dir, "pool.db"), nil)
	if err == nil {
		err = errors.Join(store.View(t.Context(), func(tx core.Tx) error {
			for n, err := range tx.Nodes(core.NodeFilter{}) {
				if err != nil {
					return err
				}
				known[n.ID] = n.Spec.BMC // with the links that were kept
			}
			return nil
		}), store.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	bare := func() {
		var group errgroup.Group
		group.SetLimit(compareParallel)
		for _, n := range rack.Rack().Nodes {
			group.Go(func() error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				b, err := redfish.New(redfish.Options{}).Connect(ctx, known[n.ID], n.BMC.Password, nil)
				if err != nil {
					return err
				}
				defer b.Close()
				if _, err := b.(core.BIOSSetter).CompareBIOS(ctx, attributes); err != nil {
					return err
				}
				_, err = b.Inspect(ctx)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	drift := func() {
		got := command(t, "node", "drift", "-o", "json")
		var drifts []core.Drift
		if err := json.Unmarshal([]byte(got.stdout), &drifts); err != nil || len(drifts) != number || len(differing(drifts)) != number || uncompared(drifts) > 0 {
			t.Fatalf("exit %d of %d nodes, %d differ, %d not compared: %v %.300s", got.code, len(drifts), len(differing(drifts)), uncompared(drifts), err, got.stderr)
		}
	}
	var with, without []float64
	bare() // the first is slower than all after it
	for range 3 {
		for times, do := range map[*[]float64]func(){&with: drift, &without: bare} {
			began := time.Now()
			do()
			*times = append(*times, time.Since(began).Seconds())
		}
	}
	compared, read := bench.Median(with), bench.Median(without)
	bench.Record(t, bench.Result{
		Name: "node drift of 1,000 nodes", Value: compared / read, Op: "<=", Bound: 1.25, Unit: "×",
		Against: fmt.Sprintf("the same read from their BMCs without a pool, as many at once (%.1f s)", read),
	})
	bench.Tell(t, fmt.Sprintf("1,000 nodes: enrolled in %.1f s, compared in %.1f s", enrolling.Seconds(), compared))
}
