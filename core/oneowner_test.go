package core_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/placetest"
	"github.com/metalpool/metalpool/internal/pgtest"
)

// What a child process is told: see TestMain.
const racerStore, racerName = "METALPOOL_CORETEST_STORE", "METALPOOL_CORETEST_NAME"

func TestMain(m *testing.M) {
	if address := os.Getenv(racerStore); address != "" {
		if err := raceAsProcess(address, os.Getenv(racerName)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if name, is := strings.CutPrefix(filepath.Base(os.Args[0]), "metalpool-step-"); is {
		actAsPlugin(name)
		return
	}
	os.Exit(pgtest.Main(m))
}

// raceAsProcess acquires all it can get, once told to, and prints what it got.
func raceAsProcess(address, name string) error {
	ctx := context.Background()
	store, err := placetest.Open(ctx, address, placetest.Options{})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	got, err := acquireAll(ctx, core.New(core.Config{Store: store}), name)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(got)
}

// acquireAll acquires until there is no node left.
func acquireAll(ctx context.Context, e *core.Engine, name string) (map[core.NodeID]core.AllocationID, error) {
	got := map[core.NodeID]core.AllocationID{}
	for i := 0; ; i++ {
		o := order(fmt.Sprintf("%s-%d", name, i), fmt.Sprintf("%s-%d", name, i))
		o.Request.Pool = core.DefaultPool
		a, err := e.Acquire(ctx, o, nil)
		if core.Is(err, core.NoCapacity) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		if other, twice := got[a.Node]; twice {
			return got, fmt.Errorf("node %s was given to %s and to %s", a.Node, other, a.ID)
		}
		got[a.Node] = a.ID
	}
}

func TestOneOwner(t *testing.T) { placetest.Each(t, oneOwner) }

func oneOwner(t *testing.T, at placetest.Place) {
	const servers = 60
	check := func(t *testing.T, p *pool, all []map[core.NodeID]core.AllocationID) {
		t.Helper()
		owners := map[core.NodeID]core.AllocationID{}
		for _, got := range all {
			for node, id := range got {
				if other, twice := owners[node]; twice {
					t.Errorf("node %s was given to %s and to %s", node, other, id)
				}
				owners[node] = id
				if m := p.machine(id); m.Node != node || m.State != core.Allocated {
					t.Errorf("%s was told %s, and the store says %s on %s", id, node, m.State, m.Node)
				}
			}
		}
		if len(owners) != servers {
			t.Errorf("%d of %d nodes were given", len(owners), servers)
		}
		p.sound()
	}
	stock := func(t *testing.T) *pool {
		p := bareRackAt(t, at, servers)
		for _, s := range p.rack.Servers() {
			p.insert(core.Node{ID: s.ID, State: core.Available, Spec: core.NodeSpec{BMC: core.Endpoint{Backend: "redfish", URL: s.BMC()}}})
		}
		return p
	}
	t.Run("goroutines, several to an engine", func(t *testing.T) {
		p := stock(t)
		const engines, each = 4, 3
		all := make([]map[core.NodeID]core.AllocationID, engines*each)
		var racers sync.WaitGroup
		for i := range engines {
			e := p.engineOn(p.rack.Host(), p.open(), cloak{}, nil)
			for j := range each {
				racers.Go(func() {
					var err error
					if all[i*each+j], err = acquireAll(t.Context(), e, fmt.Sprintf("racer-%d-%d", i, j)); err != nil {
						t.Error(err)
					}
				})
			}
		}
		racers.Wait()
		check(t, p, all)
	})
	t.Run("processes", func(t *testing.T) {
		p := stock(t)
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		const processes = 3
		all := make([]map[core.NodeID]core.AllocationID, processes)
		var inputs []io.WriteCloser
		var outputs []*bufio.Reader
		for i := range processes {
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(os.Environ(), racerStore+"="+p.address, fmt.Sprintf("%s=process-%d", racerName, i))
			cmd.Stderr = os.Stderr
			in, inErr := cmd.StdinPipe()
			out, outErr := cmd.StdoutPipe()
			if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := cmd.Wait(); err != nil {
					t.Error(err)
				}
			}()
			inputs, outputs = append(inputs, in), append(outputs, bufio.NewReader(out))
		}
		for _, out := range outputs { // all are ready before one starts
			if _, err := out.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		for _, in := range inputs {
			if _, err := io.WriteString(in, "go\n"); err != nil {
				t.Fatal(err)
			}
		}
		for i, out := range outputs {
			if err := json.NewDecoder(out).Decode(&all[i]); err != nil {
				t.Fatal(err)
			}
		}
		check(t, p, all)
	})
	t.Run("the same request from everywhere", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newPoolAt(t, at, 3)
			machines := make([]core.Machine, 6)
			var callers sync.WaitGroup
			for i := range machines {
				e, _ := p.engine()
				callers.Go(func() {
					var err error
					if machines[i], err = e.Create(t.Context(), order("a-1", "web-1"), nil); err != nil {
						t.Error(err)
					}
				})
			}
			callers.Wait()
			for _, m := range machines {
				if m.Node != machines[0].Node || m.State != core.Deployed || m.Access.HostKeys[0] != machines[0].Access.HostKeys[0] {
					t.Errorf("one caller got %+v, another %+v", machines[0], m)
				}
			}
			if n := len(p.nodes(core.Available)); n != 2 {
				t.Errorf("%d nodes are left, want 2", n)
			}
			p.sound()
		})
	})
}
