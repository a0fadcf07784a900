package driver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	rpcdriver "github.com/docker/machine/libmachine/drivers/rpc"
	"github.com/docker/machine/libmachine/log"
	"github.com/docker/machine/libmachine/mcnflag"

	"github.com/metalpool/metalpool/core"
)

// rack is a core.Service in memory: one node, and what became of each allocation.
// A test may put something in front of a call by its name.
type rack struct {
	core.Service // what the driver does not call

	mu       sync.Mutex
	machines map[core.AllocationID]core.Machine
	orders   map[core.AllocationID]core.Order
	power    core.PowerState
	access   core.Access
	calls    []string
	url      string // the last one that was opened
	token    string
	before   map[string]func(context.Context) error
	say      []core.Progress // said by Create
}

func newRack() *rack {
	return &rack{
		machines: map[core.AllocationID]core.Machine{},
		orders:   map[core.AllocationID]core.Order{},
		power:    core.PowerOff,
		access:   core.Access{Address: "192.0.2.7", SSHPort: 2207, SSHUser: "debian", DockerPort: 12376},
		before:   map[string]func(context.Context) error{},
	}
}

// enter records a call and runs what stands before it, outside the lock.
func (r *rack) enter(ctx context.Context, name string) error {
	r.mu.Lock()
	r.calls = append(r.calls, name)
	before := r.before[name]
	r.mu.Unlock()
	if _, bounded := ctx.Deadline(); !bounded {
		return fmt.Errorf("%s was called without a deadline", name)
	}
	if before != nil {
		return before(ctx)
	}
	return nil
}

func (r *rack) count(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(r.calls), func(c string) bool { return c != name }))
}

func (r *rack) Check(ctx context.Context, o core.Order) error { return r.enter(ctx, "check") }

func (r *rack) Create(ctx context.Context, o core.Order, report core.Reporter) (core.Machine, error) {
	r.mu.Lock()
	m, known := r.machines[o.ID]
	if !known {
		m = core.Machine{ID: o.ID, Owner: o.Owner, Name: o.Name, Node: "n1", State: core.Deploying}
		r.machines[o.ID], r.orders[o.ID] = m, o
	}
	r.mu.Unlock()
	if m.State == core.Released {
		return core.Machine{}, &core.Error{Op: "create", Kind: core.Exists, Err: errors.New("released")}
	}
	for _, p := range r.say {
		report(p)
	}
	if err := r.enter(ctx, "create"); err != nil {
		return core.Machine{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m.State, m.Access, r.power = core.Deployed, r.access, core.PowerOn
	r.machines[o.ID] = m
	return m, nil
}

func (r *rack) Release(ctx context.Context, id core.AllocationID, o core.ReleaseOptions, report core.Reporter) error {
	name := "release"
	if o.WaitClean {
		name = "release and wait"
	}
	if err := r.enter(ctx, name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.machines[id]
	m.ID, m.State, m.Reason = id, core.Released, o.Reason
	r.machines[id] = m
	return nil
}

func (r *rack) Machine(ctx context.Context, id core.AllocationID) (core.Machine, error) {
	if err := r.enter(ctx, "machine"); err != nil {
		return core.Machine{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m, known := r.machines[id]
	if !known {
		return m, &core.Error{Op: "find machine", Allocation: string(id), Kind: core.NotFound}
	}
	return m, nil
}

func (r *rack) MachineNamed(ctx context.Context, owner, name string) (core.Machine, error) {
	return core.Machine{}, errors.New("the driver goes by IDs")
}

func (r *rack) Machines(ctx context.Context, f core.AllocationFilter) ([]core.Machine, error) {
	return slices.Collect(maps.Values(r.machines)), nil
}

func (r *rack) Power(ctx context.Context, id core.AllocationID) (core.PowerState, error) {
	if err := r.enter(ctx, "power"); err != nil {
		return core.PowerUnknown, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.power, nil
}

func (r *rack) SetPower(ctx context.Context, id core.AllocationID, verb core.PowerVerb) error {
	if err := r.enter(ctx, string(verb)); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.power = core.PowerOff
	if verb == core.TurnOn {
		r.power = core.PowerOn
	}
	return nil
}

func (r *rack) Close() error { return r.enter(context.Background(), "close") }

// Locate and Open make the rack the only pool there is.
func (r *rack) Locate(url string) (string, error) {
	if strings.Contains(url, "@") {
		return "", &core.Error{Op: "open pool", Kind: core.Invalid, Err: errors.New("it holds a password")}
	}
	return cmp.Or(url, "/default/pool.db"), nil
}

func (r *rack) Open(ctx context.Context, url, token string) (core.Service, error) {
	r.mu.Lock()
	r.url, r.token = url, token
	r.mu.Unlock()
	return r, r.enter(ctx, "open")
}

// given are flags as docker-machine sends them: every flag, by its default where
// it was not given.
func given(values map[string]any) rpcdriver.RPCFlags {
	all := map[string]any{"swarm-master": false, "swarm-host": "", "swarm-discovery": ""}
	for _, f := range createFlags {
		switch f := f.(type) {
		case mcnflag.StringFlag:
			all[f.Name] = f.Value
		case mcnflag.IntFlag:
			all[f.Name] = f.Value
		case mcnflag.BoolFlag:
			all[f.Name] = false
		}
	}
	for name, value := range values {
		all["metalpool-"+name] = value
	}
	return rpcdriver.RPCFlags{Values: all}
}

// newMachine is a driver as docker-machine has it after SetConfigFromFlags, with a
// store path of its own.
func newMachine(t *testing.T, r *rack, flags map[string]any) *Driver {
	t.Helper()
	d := New(r)
	d.MachineName, d.StorePath = "web-1", t.TempDir()
	if err := os.MkdirAll(filepath.Join(d.StorePath, "machines", "web-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.SetConfigFromFlags(given(flags)); err != nil {
		t.Fatal(err)
	}
	return d
}

// created is a machine after a Create that passed.
func created(t *testing.T, r *rack, flags map[string]any) *Driver {
	t.Helper()
	d := newMachine(t, r, flags)
	if err := d.Create(); err != nil {
		t.Fatal(err)
	}
	return d
}

// printed collects what the driver shows of itself, debug lines included.
func printed(t *testing.T) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	log.SetOutWriter(&out)
	log.SetErrWriter(&out)
	log.SetDebug(true)
	t.Cleanup(func() {
		log.SetOutWriter(os.Stdout)
		log.SetErrWriter(os.Stderr)
		log.SetDebug(false)
	})
	return &out
}

// wantText checks that an error says all of the texts.
func wantText(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got error %v\nwant it to say %q", err, text)
		}
	}
}

// block waits for the end of a call's context, as a server that never answers.
func block(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// clock is a time that only a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// listenSSH greets as an SSH server does at a port of its own, which it puts into
// a, and tells of the first caller.
func listenSSH(t *testing.T, a *core.Access) (greeted <-chan struct{}) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	a.Address, a.SSHPort = "127.0.0.1", listener.Addr().(*net.TCPAddr).Port
	first := make(chan struct{})
	go func() {
		tell := sync.OnceFunc(func() { close(first) })
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			tell()
			_, _ = conn.Write([]byte("SSH-2.0-test\r\n"))
			_ = conn.Close()
		}
	}()
	return first
}
