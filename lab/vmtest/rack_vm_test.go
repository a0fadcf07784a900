//go:build vm

package vmtest_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/core/deploy"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/steps"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/tinyos"
)

// The images in the pool's catalogue; each is the tiny OS as it is told to be.
const (
	wellImage   = "well"
	hangImage   = "hangs-after-kexec"
	noSeedImage = "without-cloud-init"
)

var words = map[string][]tinyos.Word{
	wellImage: nil, hangImage: {tinyos.HangAfterKexec}, noSeedImage: {tinyos.NoSeed},
}

// login is the user that the images let in.
const login = "debian"

// patience is how long the pool waits: what a server does that is emulated on a busy
// machine goes in, and what fails ends soon.
var patience = core.Timeouts{
	Power: time.Minute, CheckIn: 4 * time.Minute, Write: 8 * time.Minute, SSH: 4 * time.Minute, Kexec: 75 * time.Second, Erase: 8 * time.Minute,
}

// rack is one server and a pool of it, which the subtests of a test take in turn.
type rack struct {
	*core.Engine
	t     *testing.T
	lab   *lab.Lab
	node  *lab.Node
	store *watchedStore
	chunk *chunkProxy
	log   *logbook
	dir   string
	key   ssh.Signer

	blackouts *atomic.Int32 // of a subtest
}

// newRack has one server, enrolled and Available.
func newRack(t *testing.T, vm lab.VM) *rack {
	t.Helper()
	r := emptyRack(t, vm)
	r.enroll()
	r.finish()
	r.is(core.Available)
	return r
}

// emptyRack has one server that is not enrolled.
func emptyRack(t *testing.T, vm lab.VM) *rack {
	t.Helper()
	needs.QEMU(t)
	ramdisk, system := needs.Ramdisk(t), needs.TinyOS(t)
	r := &rack{t: t, dir: t.TempDir(), log: newLogbook(t)}
	l, err := lab.Up(t.Context(), lab.Config{Dir: filepath.Join(r.dir, "lab"), Nodes: 1, Vendors: []string{"openbmc"}, Times: &lab.Times{}, VM: &vm, Log: r.log.logger()})
	try(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	r.lab, r.node = l, l.Nodes()[0]

	key, err := seal.LoadOrCreate("", seal.FileOf(r.pool()))
	try(t, err)
	opened, err := sqlite.Open(t.Context(), r.pool(), sqlite.Options{Create: true, KeyFingerprint: key.Fingerprint()})
	try(t, err)
	r.store = &watchedStore{Store: opened}
	var e *core.Engine
	deployer, err := deploy.New(deploy.Config{
		CacheDir: filepath.Join(r.dir, "cache"), Bind: "127.0.0.1", Ramdisk: ramdisk, Log: r.log.logger(), Lost: 20 * time.Second,
		Refused: func(boot string, node core.NodeID, peer, why string) { e.AgentRefused(boot, node, peer, why) },
	})
	try(t, err)
	r.chunk = newChunkProxy(t, deployer)
	e = core.New(core.Config{
		Store: r.store, Sealer: key, Deployer: r.chunk, Log: r.log.logger(),
		Backends: map[string]core.Connector{"redfish": redfish.New(redfish.Options{First: time.Millisecond, Poll: 100 * time.Millisecond, Settle: 10 * time.Second, Doubt: time.Second, Grace: time.Second, Retry: 50 * time.Millisecond})},
		Steps:    steps.Runners(nil),
		Timing:   core.Timing{Retry: 200 * time.Millisecond, Queue: 50 * time.Millisecond},
	})
	r.Engine = e
	t.Cleanup(func() { try(t, e.Close(), deployer.Close()) })

	for name, w := range words {
		path := filepath.Join(r.dir, name+".raw")
		try(t, tinyos.Write(system, path, w...))
		r.add(name, path)
	}
	r.waits(func(*core.Timeouts) {})
	r.key = newKey(t)
	return r
}

// add puts an image into the catalogue.
func (r *rack) add(name, path string) {
	r.t.Helper()
	_, err := r.AddImage(r.t.Context(), core.Image{Name: name, Source: path, Arch: "amd64", User: login}, nil)
	try(r.t, err)
}

// pool is the path of the pool's store.
func (r *rack) pool() string { return filepath.Join(r.dir, "pool.db") }

func (r *rack) enroll() {
	r.t.Helper()
	in := r.lab.Rack().Nodes[0].Enrollment()
	in.Erase = true
	_, err := r.Enroll(r.t.Context(), in, nil)
	try(r.t, err)
}

// waits changes how long the pool waits, from patience.
func (r *rack) waits(change func(*core.Timeouts)) {
	r.t.Helper()
	limits := patience
	change(&limits)
	try(r.t, r.SetPool(context.WithoutCancel(r.t.Context()), core.Pool{Name: core.DefaultPool, DefaultImage: wellImage, Timeouts: limits}))
}

// run runs a subtest on the rack, which it finds whole: with its one server Available.
func (r *rack) run(name string, test func(r *rack)) {
	r.t.Helper()
	r.t.Run(name, func(t *testing.T) {
		t.Helper()
		began := time.Now()
		in := *r
		in.t, in.blackouts = t, new(atomic.Int32)
		t.Cleanup(func() {
			if t.Failed() {
				in.showConsole()
			}
			defer in.log.show(t)
			in.node.ClearFaults()
			try(t, in.node.Plug())
			in.waits(func(*core.Timeouts) {})
			in.restore()
			t.Logf("took %s", time.Since(began).Round(time.Second))
		})
		test(&in)
	})
}

// restore releases what a subtest left, and has the server as good as new.
func (r *rack) restore() {
	r.t.Helper()
	ctx := context.WithoutCancel(r.t.Context())
	byImage := core.BootMode("")
	_, err := r.SetNode(ctx, r.node.ID(), core.NodeChange{Boot: &byImage})
	try(r.t, err)
	list, err := r.Machines(ctx, core.AllocationFilter{})
	try(r.t, err)
	for _, m := range list {
		if !m.State.Ended() {
			if err := r.Release(ctx, m.ID, core.ReleaseOptions{WaitClean: true}, nil); err != nil {
				r.t.Errorf("release %s: %v", m.Name, err)
			}
		}
	}
	if n, err := r.Node(ctx, r.node.ID()); err != nil {
		r.t.Error(err)
	} else if n.State == core.Quarantined {
		if _, err := r.Repair(ctx, n.ID, "the test is over"); err != nil {
			r.t.Error(err)
		}
	}
	if given, err := r.Work(ctx); err != nil || len(given) > 0 {
		r.t.Errorf("the worker gave up on %v, %v", given, err)
	}
}

// showConsole shows the end of what the server wrote.
func (r *rack) showConsole() {
	text := r.console()
	r.t.Logf("the console ends:\n%s", text[max(0, len(text)-6000):])
}

func (r *rack) console() string {
	recent, _, stop := r.node.Console()
	stop()
	return string(recent)
}

// order is what a subtest asks for; its name is unique in the rack.
func (r *rack) order() core.Order {
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(r.t.Name()))
	return core.Order{ID: core.AllocationID(core.NewID("m")), Owner: "o", Name: strings.Trim(name[max(0, len(name)-40):], "-"), Keys: []string{string(ssh.MarshalAuthorizedKey(r.key.PublicKey()))}}
}

// create takes the server, and checks that its OS is the one of this machine.
func (r *rack) create(o core.Order, report core.Reporter) core.Machine {
	r.t.Helper()
	began := time.Now()
	m, err := r.Create(r.t.Context(), o, report)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Logf("created in %s", time.Since(began).Round(time.Second))
	r.answers(m)
	return m
}

// answers checks that the machine can be logged in to.
func (r *rack) answers(m core.Machine) {
	r.t.Helper()
	if out, err := onMachine(r.t.Context(), m, r.key, "hostname"); out != m.Name+"\n" || err != nil {
		r.t.Errorf("on machine %s hostname says %q, %v", m.Name, out, err)
	}
}

// release gives the machine back and waits until the server is clean.
func (r *rack) release(m core.Machine, report core.Reporter) {
	r.t.Helper()
	began := time.Now()
	try(r.t, r.Release(r.t.Context(), m.ID, core.ReleaseOptions{WaitClean: true}, report))
	r.is(core.Available)
	r.t.Logf("released in %s", time.Since(began).Round(time.Second))
}

func (r *rack) finish() {
	r.t.Helper()
	given, err := r.Work(r.t.Context())
	if err != nil || len(given) > 0 {
		r.showConsole()
		r.t.Fatalf("the worker gave up on %v, %v", given, err)
	}
}

func (r *rack) is(want core.State) {
	r.t.Helper()
	if n := r.found(); n.State != want {
		r.t.Fatalf("the server is %s (%s), not %s", n.State, n.Reason, want)
	}
}

func (r *rack) found() core.Node {
	r.t.Helper()
	n, err := r.Node(context.WithoutCancel(r.t.Context()), r.node.ID())
	try(r.t, err)
	return n
}

// told checks that the server's story since then has an event that says all this.
func (r *rack) told(since time.Time, kind core.EventType, says ...string) {
	r.t.Helper()
	events, err := r.Events(r.t.Context(), core.EventFilter{Node: r.node.ID()})
	try(r.t, err)
	var messages []string
	for _, e := range events {
		if e.Type == kind && e.At.After(since) {
			messages = append(messages, e.Message)
		}
	}
	if !slices.ContainsFunc(messages, func(m string) bool { return containsAll(m, says) }) {
		r.t.Errorf("the story tells %q, and nothing with %q", messages, says)
	}
}

// refused checks an error: its kind, and that it says all this.
func (r *rack) refused(err error, kind core.Kind, says ...string) {
	r.t.Helper()
	if err == nil {
		r.t.Fatalf("there is no error; want %s: %q", kind, says)
	}
	if !core.Is(err, kind) || !containsAll(err.Error(), says) {
		r.t.Errorf("the error is %q (%s); want %s: %q", err, core.KindOf(err), kind, says)
	}
}

func containsAll(text string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) })
}

// boots is how often the ramdisk was started for the last attempt on the server.
func (r *rack) boots() (n int) {
	r.t.Helper()
	node := r.found()
	try(r.t, r.store.View(r.t.Context(), func(tx core.Tx) error {
		at, err := tx.Attempt(node.Attempt)
		n = at.Boots
		return err
	}))
	return n
}

// at calls do once, when a report of the step says that it is as far as that.
func at(step string, when func(core.Progress) bool, do func()) core.Reporter {
	var once sync.Once
	return func(p core.Progress) {
		if p.Step == step && when(p) {
			once.Do(do)
		}
	}
}

func atOnce(core.Progress) bool    { return true }
func counted(p core.Progress) bool { return p.Total > 0 }

// blackout takes the power away, from the BMC as well, and gives it back: the server
// stays off.
func (r *rack) blackout() {
	r.blackouts.Add(1)
	r.check(errors.Join(r.node.Unplug(), r.node.Plug()))
}

// check is try for what runs beside the test.
func (r *rack) check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Error(err)
	}
}

func try(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	try(t, err)
	key, err := ssh.NewSignerFromKey(private)
	try(t, err)
	return key
}

// onMachine runs a command over SSH, trusting the host keys that the pool tells.
func onMachine(ctx context.Context, m core.Machine, key ssh.Signer, command string) (string, error) {
	client, err := ssh.Dial("tcp", net.JoinHostPort(m.Access.Address, strconv.Itoa(m.Access.SSHPort)), &ssh.ClientConfig{
		User: m.Access.SSHUser, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, Timeout: time.Minute,
		HostKeyCallback: func(_ string, _ net.Addr, shown ssh.PublicKey) error {
			if !slices.Contains(m.Access.HostKeys, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(shown)))) {
				return errors.New("another host key")
			}
			return nil
		},
	})
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	defer func() { _ = session.Close() }()
	out, err := session.CombinedOutput(command)
	return string(out), err
}
