package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// gate is an erase that waits to be let go on.
type gate struct {
	begun  chan struct{}
	open   chan struct{}
	erases atomic.Int32
}

func newGate() *gate { return &gate{begun: make(chan struct{}, 10), open: make(chan struct{})} }

func (g *gate) faults() filedisk.Faults {
	return filedisk.Faults{Erase: func(ctx context.Context, erase func() error) error {
		g.erases.Add(1)
		g.begun <- struct{}{}
		select {
		case <-g.open:
			return erase()
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
}

// inBackground runs fn, whose error arrives on the channel.
func inBackground(fn func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- fn() }()
	return result
}

func TestALowerGenerationChangesNothing(t *testing.T) {
	d, _ := newDeployer(t)
	g := newGate()
	m := newMachine(t, g.faults(), 8*mib)
	s, fifth, _ := checkedIn(t, d, m)
	fill(t, m.disks[0])
	before := read(t, m.disks[0], 0, 8*mib)

	fourth := dial(t, d, s, 4)
	_, err := fourth.Erase(t.Context(), "e4", core.EraseOrder{}, nil)
	wants(t, err, core.LeaseLost, "generation 5 has called, and this is 4")
	_, err = fourth.Inventory(t.Context())
	wants(t, err, core.LeaseLost)
	if g.erases.Load() != 0 || !bytes.Equal(read(t, m.disks[0], 0, 8*mib), before) {
		t.Error("a lower generation touched the disk")
	}

	// The fifth waits for its erase when the sixth takes over; the erase goes on.
	waiting := inBackground(func() error {
		_, err := fifth.Erase(t.Context(), "e", core.EraseOrder{}, nil)
		return err
	})
	<-g.begun
	sixth := dial(t, d, s, 6)
	if _, err := sixth.Inventory(t.Context()); err != nil {
		t.Fatal(err)
	}
	wants(t, <-waiting, core.LeaseLost, "generation 6 has called, and this is 5")
	wants(t, fifth.Boot(t.Context(), "b", core.BootOrder{Disk: "S0", Mode: core.Reboot}), core.LeaseLost)
	close(g.open)
	report, err := sixth.Erase(t.Context(), "e", core.EraseOrder{}, nil)
	if err != nil || len(report.Disks) != 1 || !report.Disks[0].Verified || g.erases.Load() != 1 {
		t.Errorf("the sixth got %+v after %d erases: %v", report, g.erases.Load(), err)
	}
}

// TestAnotherProcessGoesOn attaches to a running erase with what the store holds.
func TestAnotherProcessGoesOn(t *testing.T) {
	d, _ := newDeployer(t)
	g := newGate()
	m := newMachine(t, g.faults(), 8*mib)
	s, first, _ := checkedIn(t, d, m)
	ctx, die := context.WithCancel(t.Context())
	dead := inBackground(func() error {
		_, err := first.Erase(ctx, "e", core.EraseOrder{Disks: []string{"S0"}}, nil)
		return err
	})
	<-g.begun
	die()
	wants(t, <-dead, core.Timeout)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	var stored started
	copyJSON(t, s.boot, &stored.boot)
	copyJSON(t, s.secret, &stored.secret)
	other, _ := newDeployer(t)
	second := dial(t, other, stored, 6)
	again := inBackground(func() error {
		report, err := second.Erase(t.Context(), "e", core.EraseOrder{Disks: []string{"S0"}}, nil)
		if err == nil && (len(report.Disks) != 1 || !report.Disks[0].Verified) {
			t.Errorf("the report is %+v", report)
		}
		return err
	})
	_, err := second.Erase(t.Context(), "e2", core.EraseOrder{}, nil)
	wants(t, err, core.Busy, "the erase e is under way")
	close(g.open)
	if err := <-again; err != nil {
		t.Fatal(err)
	}
	if n := g.erases.Load(); n != 1 {
		t.Errorf("it was erased %d times", n)
	}
}

func copyJSON(t *testing.T, from, to any) {
	t.Helper()
	if err := json.Unmarshal(encode(t, from), to); err != nil {
		t.Fatal(err)
	}
}

func TestACommandRunsOnce(t *testing.T) {
	d, _ := newDeployer(t)
	var writes atomic.Int32
	m := newMachine(t, filedisk.Faults{Write: func(int64, int) error { writes.Add(1); return nil }}, 24*mib)
	s, a, _ := checkedIn(t, d, m)
	i := newImage(t, 4*mib)
	if err := a.Write(t.Context(), "w", i.order(), nil); err != nil {
		t.Fatal(err)
	}
	after := writes.Load()
	// Asked from elsewhere, with the chunks elsewhere, it is the same order.
	i.serve(t)
	if err := dial(t, d, s, 9).Write(t.Context(), "w", i.order(), nil); err != nil {
		t.Fatal(err)
	}
	if writes.Load() != after {
		t.Error("the write ran again")
	}
	other := i.order()
	other.Disk = "S1"
	a = dial(t, d, s, 9)
	wants(t, a.Write(t.Context(), "w", other, nil), core.Exists, "command w is another order, a write")
	_, err := a.Erase(t.Context(), "w", core.EraseOrder{}, nil)
	wants(t, err, core.Exists, "another order")
	for _, id := range []string{"", "two words", "ä", strings.Repeat("x", 201)} {
		_, err := a.Erase(t.Context(), id, core.EraseOrder{}, nil)
		wants(t, err, core.Internal, "command ID")
	}
	if writes.Load() != after {
		t.Error("something else was written")
	}
}

func TestBootingThatFails(t *testing.T) {
	d, _ := newDeployer(t)
	m := newMachine(t, filedisk.Faults{}, 8*mib)
	m.bootable = func() error { return errors.New("no kernel") }
	_, a, ended := checkedIn(t, d, m)
	wants(t, a.Boot(t.Context(), "b1", core.BootOrder{Disk: "S0", Mode: core.Kexec}), core.Backend, "by kexec from disk S0: no kernel")
	wants(t, a.Boot(t.Context(), "b2", core.BootOrder{Disk: "S9", Mode: core.Kexec}), core.Backend, `there is no disk "S9"; there are: S0 (8.39 MB)`)
	wants(t, a.Boot(t.Context(), "b3", core.BootOrder{Disk: "S0", Mode: "warp"}), core.Invalid, "warp")
	m.bootable = nil
	if err := a.Boot(t.Context(), "b4", core.BootOrder{Disk: "S0", Mode: core.Reboot}); err != nil {
		t.Fatal(err)
	}
	ends(t, ended, nil)
	if mode := <-m.booted; mode != core.Reboot {
		t.Errorf("it left by %s", mode)
	}
}

// cutter stands between the engine and an agent.
type cutter struct {
	listener net.Listener
	turned   chan struct{} // away, while dead
	mu       sync.Mutex
	open     map[net.Conn]bool
	dead     bool
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l, open: map[net.Conn]bool{}, turned: make(chan struct{}, 1000)}
	t.Cleanup(func() { _ = l.Close(); c.cut() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			c.mu.Lock()
			dead := c.dead
			c.mu.Unlock()
			if dead {
				_ = near.Close()
				c.turned <- struct{}{}
				continue
			}
			far, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			c.mu.Lock()
			c.open[near], c.open[far] = true, true
			c.mu.Unlock()
			go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
			go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
		}
	}()
	return c
}

// cut closes all connections, and returns how many there were.
func (c *cutter) cut() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.open)
	for conn := range c.open {
		_ = conn.Close()
		delete(c.open, conn)
	}
	return n
}

// set turns away who calls from now on, or no longer does.
func (c *cutter) set(dead bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = dead
}

// What an agent owes is known while the call for it goes on and on.
func TestWhatAnAgentOwes(t *testing.T) {
	d, _ := newDeployer(t)
	g := newGate()
	s, _, _ := checkedIn(t, d, newMachine(t, g.faults(), 8*mib))
	c := newCutter(t, s.boot.Agent.Address)
	s.boot.Agent.Address = c.listener.Addr().String()
	a := dial(t, d, s, 5)
	if owes := a.Owes(); owes != (core.Owed{}) {
		t.Errorf("it was asked for nothing, and owes %+v", owes)
	}
	waiting := inBackground(func() error {
		_, err := a.Erase(t.Context(), "e", core.EraseOrder{}, nil)
		return err
	})
	<-g.begun
	c.set(true)
	c.cut()
	<-c.turned
	<-c.turned // so that the end of the try before it is known
	owes := a.Owes()
	if owes.Agent != s.boot.Agent.Address || owes.Since.IsZero() || owes.Until.Sub(owes.Since) != 5*time.Minute {
		t.Errorf("it owes %+v", owes)
	}
	if why := owes.Why; why == "" || strings.Contains(why, "127.0.0.1") || strings.Contains(why, "http") {
		t.Errorf("its calls met %q", why)
	}
	c.set(false)
	close(g.open)
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	if owes := a.Owes(); owes != (core.Owed{}) {
		t.Errorf("it has answered, and owes %+v", owes)
	}
}

func TestACutConnectionFailsNothing(t *testing.T) {
	d, _ := newDeployer(t)
	g := newGate()
	m := newMachine(t, g.faults(), 8*mib)
	s, _, _ := checkedIn(t, d, m)
	c := newCutter(t, s.boot.Agent.Address)
	s.boot.Agent.Address = c.listener.Addr().String()
	a := dial(t, d, s, 5)
	waiting := inBackground(func() error {
		_, err := a.Erase(t.Context(), "e", core.EraseOrder{}, nil)
		return err
	})
	<-g.begun
	if c.cut() == 0 {
		t.Fatal("there was no connection to cut")
	}
	close(g.open)
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	if n := g.erases.Load(); n != 1 {
		t.Errorf("it was erased %d times", n)
	}
}

func TestAnAgentThatIsGone(t *testing.T) {
	d, _ := newDeployer(t, func(c *deploy.Config) { c.Lost = 1 })
	m := newMachine(t, filedisk.Faults{}, 8*mib)
	s := offer(t, d, silence)
	ended, cut := run(t, s.params, m)
	endpoint, err := d.AwaitCheckIn(t.Context(), s.boot.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Dial(s.boot, s.secret, 5)
	wants(t, err, core.Invalid, "has not checked in")
	s.boot.Agent = &endpoint
	a := dial(t, d, s, 5)
	cut()
	ends(t, ended, context.Canceled)
	_, err = a.Inventory(t.Context())
	wants(t, err, core.Transient, endpoint.Address, "has not answered")

	// Another agent at the same address is not ours.
	other := offer(t, d, silence)
	run(t, other.params, m)
	second, err := d.AwaitCheckIn(t.Context(), other.boot.ID)
	if err != nil {
		t.Fatal(err)
	}
	s.boot.Agent.Address = second.Address
	_, err = dial(t, d, s, 5).Inventory(t.Context())
	wants(t, err, core.Transient, "another program than the agent that checked in")
	// Nor does it listen to another boot's key.
	s.boot.Agent = &second
	_, err = dial(t, d, s, 5).Inventory(t.Context())
	wants(t, err, core.Denied, "refuses our certificate")
}

// TestWhatAnAgentDoesNotUnderstand calls by hand, with the right certificates.
func TestWhatAnAgentDoesNotUnderstand(t *testing.T) {
	d, _ := newDeployer(t)
	s, _, _ := checkedIn(t, d, newMachine(t, filedisk.Faults{}, mib))
	own, err := wire.KeyPair(s.boot.Certificate, s.secret.Key)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   wire.PinnedClient(own, "", wire.Fingerprint(s.boot.Agent.Certificate)),
		DisableKeepAlives: true,
	}}
	for _, test := range []struct {
		name, method, path, generation, command, body string
		status                                        int
		want                                          string
	}{
		{"no generation", "GET", wire.InventoryPath, "", "", "", 400, "no generation"},
		{"a negative generation", "GET", wire.InventoryPath, "-1", "", "", 400, "no generation"},
		{"a lower generation", "GET", wire.InventoryPath, "0", "", "", 409, "lease lost"},
		{"no command ID", "PUT", wire.CommandPath, "5", "", `{"erase":{}}`, 400, "no ID"},
		{"no command", "PUT", wire.CommandPath, "5", "c", `{}`, 400, "0 orders"},
		{"two commands", "PUT", wire.CommandPath, "5", "c", `{"erase":{},"seed":{}}`, 400, "2 orders"},
		{"garbage", "PUT", wire.CommandPath, "5", "c", `{`, 400, "unreadable"},
		{"a write of nothing", "PUT", wire.CommandPath, "5", "c", `{"write":{}}`, 400, "0 bytes"},
		{"an unknown command", "GET", wire.CommandPath, "5", "c", ``, 404, "none with ID c"},
		{"another path", "GET", "/", "5", "", ``, 404, ""},
		{"another method", "DELETE", wire.CommandPath, "5", "", ``, 405, ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), test.method, "https://"+s.boot.Agent.Address+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(wire.HeaderGeneration, test.generation)
		r.Header.Set(wire.HeaderCommand, test.command)
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != test.status || !strings.Contains(string(text), test.want) {
			t.Errorf("%s: %d %s, want %d and %q", test.name, answer.StatusCode, text, test.status, test.want)
		}
	}
}
