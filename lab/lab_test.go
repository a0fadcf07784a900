package lab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/bmc"
)

// The whole way, with the real engine: take a server, use it, stop and start it,
// give it back; the next owner finds nothing of the first.
func TestAServerIsTakenAndGivenBack(t *testing.T) {
	l := up(t, lab.Config{Nodes: 1})
	p := newPool(t, l)
	node := l.Nodes()[0]
	if s := p.state(node.ID()); s != core.Available {
		t.Fatalf("after enrolment the node is %s: %s", s, node.Status().Phase)
	}
	first, second := newKey(t), newKey(t)
	m, err := p.Create(t.Context(), order("web-1", first), nil)
	try(t, err)
	if m.Access.Address != node.Address() {
		t.Errorf("the machine is at %s, the node at %s", m.Access.Address, node.Address())
	}
	out, err := onMachine(t.Context(), m, first, "hostname; whoami; echo secret of the first > data; nproc; docker version --format x")
	if want := "web-1\ndebian\n32\n20.10.24\n"; err != nil || out != want {
		t.Errorf("on the machine: %q, %v; want %q", out, err, want)
	}
	if _, err := onMachine(t.Context(), m, second, "true"); err == nil {
		t.Error("a key that nobody gave was let in")
	}
	try(t, p.SetPower(t.Context(), m.ID, core.TurnOff))
	if _, err := onMachine(t.Context(), m, first, "true"); err == nil {
		t.Error("the machine answers with its power off")
	}
	try(t, p.SetPower(t.Context(), m.ID, core.TurnOn))
	await(t, func() bool { out, err = onMachine(t.Context(), m, first, "cat data"); return err == nil })
	if out != "secret of the first\n" {
		t.Errorf("after stop and start: %q", out)
	}

	try(t, p.Release(t.Context(), m.ID, core.ReleaseOptions{WaitClean: true}, nil))
	if s := p.state(node.ID()); s != core.Available {
		t.Fatalf("after release the node is %s", s)
	}
	for _, d := range node.Disks() {
		if data := firstData(t, d.Path); data != "" {
			t.Errorf("disk %s still holds %q", d.Serial, data)
		}
	}
	m2, err := p.Create(t.Context(), order("web-2", second), nil)
	try(t, err)
	if _, err := onMachine(t.Context(), m2, first, "true"); err == nil {
		t.Error("the first owner's key opens the second's machine")
	}
	if out, err := onMachine(t.Context(), m2, second, "ls"); out != "" || err != nil {
		t.Errorf("the second owner finds %q, %v", out, err)
	}
	if reflect.DeepEqual(m.Access.HostKeys, m2.Access.HostKeys) {
		t.Error("both machines have the same host key")
	}
}

// await waits for something outside of this process's control to become true.
func await(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-time.After(time.Minute):
			t.Fatal("it did not happen")
		case <-t.Context().Done():
			t.Fatal("the test ended")
		}
	}
}

// firstData is the beginning of what is not zero in a file.
func firstData(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	try(t, err)
	defer f.Close()
	at, err := f.Seek(0, seekData)
	if err != nil {
		return "" // a hole alone
	}
	buf := make([]byte, 1<<20)
	for {
		n, err := f.ReadAt(buf, at)
		if i := bytes.IndexFunc(buf[:n], func(r rune) bool { return r != 0 }); i >= 0 {
			return string(buf[i:min(i+40, n)])
		}
		if err == io.EOF {
			return ""
		}
		try(t, err)
		at += int64(n)
	}
}

const seekData = 3 // SEEK_DATA: the next place where the file is no hole

// Where the image ends up on the disk, byte for byte.
func TestTheImageIsOnTheDisk(t *testing.T) {
	l := up(t, lab.Config{Nodes: 1})
	p := newPool(t, l)
	key := newKey(t)
	_, err := p.Create(t.Context(), order("web-1", key), nil)
	try(t, err)
	var image bytes.Buffer
	try(t, lab.WriteImage(&image))
	drive := l.Nodes()[0].Disks()[0]
	d, err := filedisk.Open(drive.Path, drive, filedisk.Faults{})
	try(t, err)
	defer d.Close()
	written := make([]byte, lab.ImageSize)
	_, err = d.ReadAt(written, 0)
	try(t, err)
	// The partition tables differ: the disk is larger, and has one partition more.
	const table = 34 * 512
	if !bytes.Equal(written[table:lab.ImageSize-table], image.Bytes()[table:lab.ImageSize-table]) {
		t.Error("the disk holds other bytes than the image")
	}
}

// A lab that is closed and started again is the same rack; what was on comes back.
func TestTheRackIsKept(t *testing.T) {
	dir := t.TempDir()
	l := up(t, lab.Config{Dir: dir, Nodes: 2})
	p := newPool(t, l)
	key := newKey(t)
	m, err := p.Create(t.Context(), order("web-1", key), nil)
	try(t, err)
	if _, err := onMachine(t.Context(), m, key, "echo kept > data"); err != nil {
		t.Fatal(err)
	}
	rack := l.Rack()
	try(t, l.Close())
	if _, err := onMachine(t.Context(), m, key, "true"); err == nil {
		t.Error("the machine answers without its lab")
	}
	again := up(t, lab.Config{Dir: dir, Nodes: 3})
	if got := again.Rack(); !reflect.DeepEqual(got.Nodes[:2], rack.Nodes) || len(got.Nodes) != 3 || again.Net() != l.Net() {
		t.Errorf("the rack is now %+v at %s", got, again.Net())
	}
	var out string
	await(t, func() bool { out, err = onMachine(t.Context(), m, key, "cat data"); return err == nil })
	if out != "kept\n" {
		t.Errorf("after the lab came back: %q", out)
	}
	for _, name := range []string{"lab.json", "control.json", filepath.Join("nodes", "n001", "state.json")} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; it holds secrets", name, info, err)
		}
	}
}

func TestUpRefuses(t *testing.T) {
	dir := t.TempDir()
	l := up(t, lab.Config{Dir: dir, Nodes: 3})
	broken := t.TempDir()
	try(t, os.WriteFile(filepath.Join(broken, "lab.json"), []byte(`{"nodes": "hunter2"}`), 0o600))
	kept := t.TempDir()
	text, err := os.ReadFile(filepath.Join(dir, "lab.json"))
	try(t, err, os.WriteFile(filepath.Join(kept, "lab.json"), text, 0o600))
	for _, c := range []struct {
		name   string
		config lab.Config
		kind   core.Kind
		want   string
	}{
		{"the same folder", lab.Config{Dir: dir}, core.Busy, "another lab runs in"},
		{"the same addresses", lab.Config{Net: l.Net()}, core.Busy, "cannot listen"},
		{"fewer nodes", lab.Config{Dir: kept, Nodes: 2}, core.Invalid, "has 3 nodes, more than 2"},
		{"its addresses are taken", lab.Config{Dir: kept}, core.Busy, "move this rack: 'metalpool lab up --net 127."},
		{"a move to where there is no room", lab.Config{Dir: kept, Net: "127.201.7.0/28", Nodes: 6}, core.Invalid, "has room for 5 nodes, not for 6"},
		{"no block", lab.Config{Net: "here"}, core.Invalid, "is not a block"},
		{"not loopback", lab.Config{Net: "10.0.0.0/8"}, core.Invalid, "is not a block of loopback"},
		{"bits of a host", lab.Config{Net: "127.0.0.1/8"}, core.Invalid, "is not a block of loopback"},
		{"too small", lab.Config{Net: "127.201.7.0/28", Nodes: 6}, core.Invalid, "has room for 5 nodes, not for 6"},
		{"unknown manners", lab.Config{Vendors: []string{"abacus"}}, core.Invalid, `no BMC has the manners "abacus"`},
		{"a broken file", lab.Config{Dir: broken}, core.Invalid, "cannot be read"},
		{"a port that is none", lab.Config{SSHPort: 70000}, core.Invalid, "the port of its SSH, 70000, is none"},
		{"a port twice", lab.Config{DockerPort: 8443}, core.Invalid, "BMC and Docker Engine cannot both have port 8443"},
		{"a file in the way", lab.Config{Dir: filepath.Join(dir, "lab.json")}, core.Invalid, "not a directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.config.Dir == "" {
				c.config.Dir = t.TempDir()
			}
			got, err := lab.Up(t.Context(), c.config)
			if err == nil {
				try(t, got.Close())
			}
			if !core.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v, want %s: %s", err, c.kind, c.want)
			}
		})
	}
}

// Each fault of a machine is seen by the pool as what it is: the machine that the
// caller gets is right, and the node that was hit is kept out where the fault is its
// own.
func TestMachineFaults(t *testing.T) {
	for _, c := range []struct {
		fault lab.Fault
		moves bool // to the other node
	}{
		{lab.Fault{Kind: lab.WriteError}, true},
		{lab.Fault{Kind: lab.WriteError, Nth: 5}, true},
		{lab.Fault{Kind: lab.OtherMachine}, true},
		{lab.Fault{Kind: lab.AgentTwice}, false},
	} {
		t.Run(fmt.Sprintf("%s %d", c.fault.Kind, c.fault.Nth), func(t *testing.T) {
			t.Parallel()
			l := up(t, lab.Config{Nodes: 2})
			p := newPool(t, l)
			hit := l.Nodes()[0]
			try(t, hit.AddFault(lab.NewFault{Machine: &c.fault}))
			// The other node is held until the deploy has begun on the one to be hit.
			_, err := p.Pause(t.Context(), l.Nodes()[1].ID(), "held")
			try(t, err)
			key := newKey(t)
			asked := order("web-1", key)
			var once sync.Once
			m, err := p.Create(t.Context(), asked, func(pr core.Progress) {
				if pr.Node == hit.ID() {
					once.Do(func() {
						_, err := p.Resume(context.WithoutCancel(t.Context()), l.Nodes()[1].ID(), "let go")
						if err == nil {
							_, err = p.Work(context.WithoutCancel(t.Context()))
						}
						if err != nil && !core.Is(err, core.Busy) {
							t.Error(err)
						}
					})
				}
			})
			try(t, err)
			if moved := slices.Contains(m.Moves, hit.ID()); moved != c.moves {
				t.Errorf("moved from %v", m.Moves)
			}
			if out, err := onMachine(t.Context(), m, key, "hostname"); out != "web-1\n" || err != nil {
				t.Errorf("%q, %v", out, err)
			}
			if hits := hit.Faults().List()[0].Hits; hits != 1 {
				t.Errorf("the fault hit %d times", hits)
			}
			if !c.moves {
				return
			}
			_, err = p.Work(t.Context())
			try(t, err)
			if s := p.state(hit.ID()); s != core.Quarantined {
				t.Errorf("the node that was hit is %s", s)
			}
		})
	}
}

func TestControl(t *testing.T) {
	dir := t.TempDir()
	if _, err := lab.Connect(dir); !core.Is(err, core.NotFound) {
		t.Errorf("no lab runs: %v", err)
	}
	l := up(t, lab.Config{Dir: dir, Nodes: 2})
	c, err := lab.Connect(dir)
	try(t, err)
	ctx := t.Context()
	try(t, c.AddFault(ctx, "n001", lab.NewFault{Machine: &lab.Fault{Kind: lab.HostKey}}),
		c.AddFault(ctx, "n001", lab.NewFault{BMC: &bmc.Fault{On: bmc.PowerRead, Kind: bmc.Fail}}))
	status, err := c.Status(ctx)
	try(t, err)
	if len(status) != 2 || status[0].ID != "n001" || status[0].Power != bmc.Off || status[0].Phase != "off" || len(status[0].Faults.BMC) != 1 || len(status[0].Faults.Machine) != 1 {
		t.Errorf("status %+v", status)
	}
	try(t, c.ClearFaults(ctx, "n001"))
	one, err := c.Plan(ctx, lab.PlanOrder{Seed: 7, Count: 20, Patience: bmc.Duration(time.Second)})
	try(t, err)
	try(t, c.ClearFaults(ctx, "n001"), c.ClearFaults(ctx, "n002"))
	two, err := c.Plan(ctx, lab.PlanOrder{Seed: 7, Count: 20, Patience: bmc.Duration(time.Second)})
	try(t, err)
	if len(one) != 20 || !reflect.DeepEqual(one, two) {
		t.Error("the same seed gives other faults")
	}
	for want, err := range map[string]error{
		"the lab has the nodes n001 to n002":   c.AddFault(ctx, "n9", lab.NewFault{Machine: &lab.Fault{Kind: lab.HostKey}}),
		"there is only":                        c.AddFault(ctx, "n001", lab.NewFault{Machine: &lab.Fault{Kind: "gremlins"}}),
		"one of the BMC or one of the machine": c.AddFault(ctx, "n001", lab.NewFault{}),
		"from 1 to 10000":                      second(c.Plan(ctx, lab.PlanOrder{})),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}

	n := l.Nodes()[0]
	n.PowerOn()
	await(t, func() bool { return n.Status().Phase == "no bootable device" })
	try(t, c.Unplug(ctx, n.ID()), c.Unplug(ctx, n.ID()))
	if s := n.Status(); s.Power != bmc.Off || s.Phase != "unplugged" {
		t.Errorf("unplugged: %s, %s", s.Power, s.Phase)
	}
	before := n.BMC()
	try(t, c.Plug(ctx, n.ID()), c.Plug(ctx, n.ID()), c.ResetTraffic(ctx))
	if n.BMC() == before || n.Power() != bmc.Off || len(n.BMC().Faults().List()) != len(before.Faults().List()) {
		t.Error("the BMC was not started anew, or lost its faults")
	}

	text, err := os.ReadFile(filepath.Join(dir, "control.json"))
	try(t, err)
	var door map[string]string
	try(t, json.Unmarshal(text, &door))
	door["token"] = "wrong"
	text, err = json.Marshal(door)
	try(t, err)
	other := t.TempDir()
	try(t, os.WriteFile(filepath.Join(other, "control.json"), text, 0o600))
	stranger, err := lab.Connect(other)
	try(t, err)
	if _, err := stranger.Status(ctx); !core.Is(err, core.Denied) {
		t.Errorf("with a wrong token: %v", err)
	}
	try(t, l.Close())
	if _, err := c.Status(ctx); !core.Is(err, core.Transient) {
		t.Errorf("a lab that is closed: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// A large rack costs little while it does nothing.
func TestAThousandNodesIdle(t *testing.T) {
	before := runtime.NumGoroutine()
	l := up(t, lab.Config{Nodes: 1000})
	if n := runtime.NumGoroutine() - before; n > 2100 {
		t.Errorf("%d goroutines for 1000 nodes; each BMC needs one, and its console", n)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	const most = 100 << 20
	if used := m.HeapInuse + m.StackInuse; used > most {
		t.Errorf("%s in use for 1000 nodes, more than %s", core.Bytes(used), core.Bytes(most))
	}
	if r := l.Rack(); len(r.Nodes) != 1000 || r.Nodes[999].Address == r.Nodes[0].Address {
		t.Errorf("the rack lists %d nodes", len(r.Nodes))
	}
}
