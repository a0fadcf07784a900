//go:build bench && vm

package cost

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/core/deploy"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/qemu"
)

// vmRack is one virtual machine behind its BMC, and an engine with the times that
// people have.
type vmRack struct {
	*core.Engine
	t      *testing.T
	node   *lab.Node
	starts *starts
	key    string // that is let in, authorized_keys format
}

// newVMRack has its one server Available. That is like the machine of package
// installed: two processors, a disk and a network card behind VirtIO, emulated.
func newVMRack(t *testing.T, image string, memory core.Bytes) *vmRack {
	t.Helper()
	needs.QEMU(t)
	dir := t.TempDir()
	r := &vmRack{t: t, starts: &starts{}}
	l, err := lab.Up(t.Context(), lab.Config{
		Dir: filepath.Join(dir, "lab"), Nodes: 1, Vendors: []string{"openbmc"}, Log: slog.New(r.starts),
		VM: &lab.VM{Accel: qemu.TCG, CPUs: 2, Memory: memory, CD: qemu.SCSI, Disks: []lab.VMDisk{{Bus: qemu.VirtIO, Size: 4 * core.GiB}}},
	})
	try(t, err)
	t.Cleanup(func() { try(t, l.Close()) })
	r.node = l.Nodes()[0]
	t.Cleanup(func() {
		if t.Failed() {
			recent, _, stop := r.node.Console()
			stop()
			t.Logf("the console ends:\n%s", recent[max(0, len(recent)-6000):])
		}
	})

	key, err := seal.LoadOrCreate("", filepath.Join(dir, "key"))
	try(t, err)
	store, err := sqlite.Open(t.Context(), filepath.Join(dir, "pool.db"), sqlite.Options{Create: true, KeyFingerprint: key.Fingerprint()})
	try(t, err)
	quiet := slog.New(slog.DiscardHandler)
	deployer, err := deploy.New(deploy.Config{CacheDir: filepath.Join(dir, "cache"), Bind: "127.0.0.1", Ramdisk: needs.Ramdisk(t), Log: quiet})
	try(t, err)
	r.Engine = core.New(core.Config{Store: store, Sealer: key, Deployer: deployer, Log: quiet, Backends: map[string]core.Connector{"redfish": redfish.New(redfish.Options{})}})
	t.Cleanup(func() { try(t, r.Close(), deployer.Close()) })
	public, _, err := ed25519.GenerateKey(nil)
	try(t, err)
	authorized, err := ssh.NewPublicKey(public)
	try(t, err)
	r.key = string(ssh.MarshalAuthorizedKey(authorized))

	_, err = r.AddImage(t.Context(), core.Image{Name: "debian", Source: image, Arch: "amd64", User: "debian"}, nil)
	try(t, err)
	try(t, r.SetPool(t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "debian"}))
	in := l.Rack().Nodes[0].Enrollment()
	in.Erase = true
	_, err = r.Enroll(t.Context(), in, nil)
	try(t, err)
	r.clean()
	return r
}

// clean has the server Available.
func (r *vmRack) clean() {
	r.t.Helper()
	if left, err := r.Work(r.t.Context()); err != nil || len(left) > 0 {
		r.t.Fatalf("not cleaned: %v, %v", left, err)
	}
}

// created is what a create took.
type created struct {
	all   time.Duration
	steps *meter
	init  time.Duration // from power on to the ramdisk's first program
	peak  string        // MiB that the agent took, as it says itself
}

// create takes the server, which is off, until its OS shows its host key, and gives
// it back.
func (r *vmRack) create(ctx context.Context, name string) (c created) {
	r.t.Helper()
	o := order(name)
	o.Keys = []string{r.key}
	said := r.listen()
	began := time.Now()
	c.steps = newMeter("acquire", func() spent { return spent{wall: time.Since(began)} })
	m, err := r.Create(ctx, o, c.steps.report)
	try(r.t, err)
	c.all = time.Since(began)
	c.steps.turn("")
	lines := said()
	c.init = lines.at("metalpool: the ramdisk starts").Sub(r.starts.after(began))
	const peak = "metalpool: memory that the agent took at its peak mib="
	if _, c.peak, _ = strings.Cut(lines.with(peak), peak); c.peak == "" || lines.at("metalpool: the ramdisk starts").IsZero() {
		r.t.Fatal("the console does not say when the ramdisk started, or what its agent took")
	}
	try(r.t, r.Release(ctx, m.ID, core.ReleaseOptions{WaitClean: true}, nil))
	return c
}

// starts is the log of a lab, of which it keeps when a firmware started.
type starts struct {
	mu   sync.Mutex
	list []time.Time
}

// Handle implements slog.Handler.
func (s *starts) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "phase" && a.Value.String() == "firmware" {
			s.mu.Lock()
			s.list = append(s.list, r.Time)
			s.mu.Unlock()
		}
		return true
	})
	return nil
}

// Enabled implements slog.Handler.
func (s *starts) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs implements slog.Handler.
func (s *starts) WithAttrs([]slog.Attr) slog.Handler { return s }

// WithGroup implements slog.Handler.
func (s *starts) WithGroup(string) slog.Handler { return s }

// after is the first start after that; the zero time where there was none.
func (s *starts) after(t time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.list {
		if at.After(t) {
			return at
		}
	}
	return time.Time{}
}

// line is one that came on a console, and when.
type line struct {
	text string
	at   time.Time
}

type lines []line

// with is the first line that holds the text.
func (l lines) with(text string) string {
	for _, one := range l {
		if strings.Contains(one.text, text) {
			return one.text
		}
	}
	return ""
}

// at is when the first line came that holds the text.
func (l lines) at(text string) (at time.Time) {
	for _, one := range l {
		if strings.Contains(one.text, text) {
			return one.at
		}
	}
	return at
}

// listen reads the console along, until what it returns is called for all lines.
func (r *vmRack) listen() (heard func() lines) {
	_, live, stop := r.node.Console()
	var all lines
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var rest []byte
		for part := range live {
			rest = append(rest, part...)
			for {
				text, more, whole := bytes.Cut(rest, []byte("\n"))
				if !whole {
					break
				}
				all, rest = append(all, line{strings.TrimSpace(string(text)), time.Now()}), more
			}
		}
	}()
	return func() lines {
		stop()
		<-ended
		return all
	}
}
