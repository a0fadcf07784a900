package driver

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
)

func TestCreateWritesTheKeyThatTheMachineGets(t *testing.T) {
	r := newRack()
	d := created(t, r, nil)
	private, err := os.ReadFile(d.GetSSHKeyPath())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))) + " web-1"
	if got := r.orders[d.AllocationID].Keys; len(got) != 1 || got[0] != want {
		t.Errorf("the order has %q, the file %q", got, want)
	}
	public, err := os.ReadFile(d.GetSSHKeyPath() + ".pub")
	if err != nil || string(public) != want+"\n" {
		t.Errorf("the public file has %q, %v", public, err)
	}
	info, err := os.Stat(d.GetSSHKeyPath())
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the private key's mode is %v", info.Mode())
	}
}

func TestPreCreateCheckAllocatesNothing(t *testing.T) {
	r := newRack()
	d := newMachine(t, r, nil)
	if err := d.PreCreateCheck(); err != nil {
		t.Fatal(err)
	}
	if len(r.machines) != 0 || r.count("create") != 0 {
		t.Errorf("calls %v, machines %v", r.calls, r.machines)
	}
	if _, err := os.Stat(d.GetSSHKeyPath()); err == nil {
		t.Error("a key was written, though nothing may be stored yet")
	}
	r.before["check"] = func(context.Context) error {
		return &core.Error{Op: "acquire", Allocation: "web-1", Kind: core.NoCapacity, Err: errors.New("0 of 6 nodes match (6 deployed)"), Hint: "see 'metalpool node list'"}
	}
	err := d.PreCreateCheck()
	if want := "acquire web-1: no capacity: 0 of 6 nodes match (6 deployed); see 'metalpool node list'"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestPoolThatDoesNotOpen(t *testing.T) {
	r := newRack()
	d := newMachine(t, r, nil)
	r.before["open"] = func(context.Context) error {
		return &core.Error{Op: "open pool", Kind: core.NotFound, Err: errors.New("no pool.db")}
	}
	_, stateErr := d.GetState()
	_, urlErr := d.GetURL()
	_, ipErr := d.GetIP()
	for name, err := range map[string]error{
		"check": d.PreCreateCheck(), "create": d.Create(), "remove": d.Remove(), "start": d.Start(), "stop": d.Stop(),
		"kill": d.Kill(), "restart": d.Restart(), "state": stateErr, "url": urlErr, "ip": ipErr,
	} {
		if err == nil || err.Error() != "open pool: missing: no pool.db" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFailedCreateGivesBack(t *testing.T) {
	r := newRack()
	d := newMachine(t, r, nil)
	r.before["create"] = func(context.Context) error {
		return &core.Error{Op: "deploy", Node: "n1", Kind: core.Backend, Err: errors.New("disk full"), Hint: "ask again, or release it"}
	}
	err := d.Create()
	want := "deploy (node n1): backend: disk full; 'metalpool machine logs web-1' tells all of it; node n1 was given back to be erased; 'docker-machine rm -y web-1' forgets the record"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if m := r.machines[d.AllocationID]; m.State != core.Released {
		t.Errorf("the allocation is %s", m.State)
	}
	if err := d.Remove(); err != nil {
		t.Errorf("rm after it: %v", err)
	}
}

// A server whose BMC never answered goes back as it is: nothing is there to be erased.
func TestFailedCreateThatTouchedNothingSaysSo(t *testing.T) {
	for _, c := range []struct {
		state     core.State
		why, want string
	}{
		{core.Allocated, "", "node n1 was given back untouched; "},
		{core.Released, "untouched: no contact", "node n1 was given back untouched; "},
		{core.Released, "released by bob@desk/7", "node n1 was given back; "}, // in the middle of a deploy, for all we know
	} {
		r := newRack()
		d := newMachine(t, r, nil)
		r.before["create"] = func(context.Context) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			m := r.machines[d.AllocationID]
			m.ID, m.Node, m.State, m.Reason = d.AllocationID, "n1", c.state, c.why
			r.machines[d.AllocationID] = m
			return &core.Error{Op: "create", Node: "n1", Kind: core.Transient, Err: errors.New("no contact")}
		}
		wantText(t, d.Create(), "no contact", c.want, "forgets the record")
	}
}

func TestCreateThatTookNothingBuriesItsID(t *testing.T) {
	r := newRack()
	d := newMachine(t, r, nil)
	r.before["create"] = func(context.Context) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.machines, d.AllocationID)
		return &core.Error{Op: "acquire", Kind: core.NoCapacity, Err: errors.New("0 of 1 nodes match")}
	}
	wantText(t, d.Create(), "0 of 1 nodes match", "no server is held")
	if m := r.machines[d.AllocationID]; m.State != core.Released {
		t.Errorf("a late claim under %s would not be refused", d.AllocationID)
	}
}

func TestFailedCreateThatCannotGiveBackSaysSo(t *testing.T) {
	r := newRack()
	d := newMachine(t, r, nil)
	r.before["create"] = func(context.Context) error {
		return &core.Error{Op: "deploy", Kind: core.Timeout, Err: errors.New("no check-in")}
	}
	r.before["release"] = func(context.Context) error {
		return &core.Error{Op: "release", Kind: core.Transient, Err: errors.New("BMC: 404 Not Found")}
	}
	err := d.Create()
	wantText(t, err, "no check-in", "giving the server back failed, too", "BMC: 404 missing", "'docker-machine rm -y web-1' tries again")
}

// docker-machine dies of Ctrl-C at once; the driver has seconds, and uses them.
func TestInterruptedCreateGivesBack(t *testing.T) {
	for name, sig := range map[string]syscall.Signal{"Ctrl-C": syscall.SIGINT, "kill": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			r := newRack()
			d := newMachine(t, r, nil)
			r.before["create"] = func(ctx context.Context) error {
				if err := syscall.Kill(os.Getpid(), sig); err != nil {
					return err
				}
				return block(ctx)
			}
			wantText(t, d.Create(), "context canceled", "node n1 was given back")
			if m := r.machines[d.AllocationID]; m.State != core.Released {
				t.Errorf("the allocation is %s", m.State)
			}
		})
	}
}

func TestCreateWithoutAFolderForItsKey(t *testing.T) {
	r := newRack()
	d := newMachine(t, r, nil)
	if err := os.RemoveAll(d.StorePath); err != nil {
		t.Fatal(err)
	}
	wantText(t, d.Create(), "write the SSH key", "no such file")
	if r.count("create") != 0 {
		t.Error("a server was taken that nobody could log in to")
	}
}

// A create that was killed just before its end has left no address in config.json.
func TestKilledCreateIsFoundAgain(t *testing.T) {
	r := newRack()
	d := newMachine(t, r, nil)
	before := later(t, d)
	_, err := before.GetState()
	wantText(t, err, "the pool holds no server for it", "'docker-machine rm -y web-1'")
	if err := d.Create(); err != nil {
		t.Fatal(err)
	}
	if ip, err := before.GetIP(); err != nil || ip != "192.0.2.7" {
		t.Errorf("GetIP: %q, %v", ip, err)
	}
	if user := before.GetSSHUsername(); user != "debian" {
		t.Errorf("GetSSHUsername: %q", user)
	}
}
