package lab_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/core/credential"
	"github.com/metalpool/metalpool/core/deploy"
	"github.com/metalpool/metalpool/core/seal"
	"github.com/metalpool/metalpool/core/steps"
	"github.com/metalpool/metalpool/core/store/sqlite"
	"github.com/metalpool/metalpool/lab"
)

// instant is a rack that loses no time.
var instant = lab.Times{}

// atOnce is a client for it: there, who waits before the first look may find a
// machine that was on and is off again. What takes firmware minutes takes a look here.
var atOnce = redfish.Options{First: time.Nanosecond, Watch: 10 * time.Millisecond}

func up(t *testing.T, c lab.Config) *lab.Lab {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	if c.Times == nil {
		c.Times = &instant
	}
	if c.Vendors == nil {
		c.Vendors = []string{"openbmc"} // whose manners cost no time
	}
	c.Log = logTo(t)
	l, err := lab.Up(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

type logWriter struct{ t *testing.T }

func (w logWriter) Write(p []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

func logTo(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(logWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// pool is a real engine over a real store.
type pool struct {
	*core.Engine
	t *testing.T
}

func newPool(t *testing.T, l *lab.Lab) *pool {
	t.Helper()
	return newPoolWith(t, l, steps.Runners(nil))
}

// newPoolWith has the pool's steps done by others than the usual ones.
func newPoolWith(t *testing.T, l *lab.Lab, runners map[core.StepKind]core.StepRunner) *pool {
	t.Helper()
	dir := t.TempDir()
	key, err := seal.LoadOrCreate("", filepath.Join(dir, "key"))
	try(t, err)
	store, err := sqlite.Open(t.Context(), filepath.Join(dir, "pool.db"), sqlite.Options{Create: true, KeyFingerprint: key.Fingerprint()})
	try(t, err)
	var e *core.Engine
	deployer, err := deploy.New(deploy.Config{CacheDir: filepath.Join(dir, "cache"), Bind: "127.0.0.1", Log: logTo(t), Refused: func(b string, n core.NodeID, p, w string) { e.AgentRefused(b, n, p, w) }})
	try(t, err)
	e = core.New(core.Config{
		Store: store, Sealer: key, Backends: map[string]core.Connector{"redfish": redfish.New(atOnce)}, Deployer: deployer, Log: logTo(t),
		Steps: runners, Resolve: credential.Resolve,
		Timing: core.Timing{Retry: 50 * time.Millisecond, Queue: 50 * time.Millisecond},
	})
	t.Cleanup(func() { try(t, e.Close(), deployer.Close()) })
	p := &pool{e, t}
	image := filepath.Join(dir, "image.raw")
	f, err := os.Create(image)
	try(t, err)
	try(t, lab.WriteImage(f), f.Close())
	_, err = e.AddImage(t.Context(), core.Image{Name: "demo", Source: image, Arch: "amd64", User: "debian"}, nil)
	try(t, err)
	try(t, e.SetPool(t.Context(), core.Pool{Name: core.DefaultPool, DefaultImage: "demo"}))
	for _, n := range l.Rack().Nodes {
		in := n.Enrollment()
		in.Erase = true
		_, err := e.Enroll(t.Context(), in, nil)
		try(t, err)
	}
	_, err = e.Work(t.Context())
	try(t, err)
	return p
}

func try(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func (p *pool) state(id core.NodeID) core.State {
	p.t.Helper()
	n, err := p.Node(p.t.Context(), id)
	try(p.t, err)
	return n.State
}

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	try(t, err)
	key, err := ssh.NewSignerFromKey(private)
	try(t, err)
	return key
}

func order(id string, key ssh.Signer) core.Order {
	return core.Order{ID: core.AllocationID(id), Owner: "o", Name: id, Keys: []string{string(ssh.MarshalAuthorizedKey(key.PublicKey()))}}
}

// onMachine runs a command over SSH, trusting the host keys that the pool tells.
func onMachine(ctx context.Context, m core.Machine, key ssh.Signer, command string) (string, error) {
	var trusted []ssh.PublicKey
	for _, text := range m.Access.HostKeys {
		k, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
		if err != nil {
			return "", err
		}
		trusted = append(trusted, k)
	}
	client, err := ssh.Dial("tcp", net.JoinHostPort(m.Access.Address, strconv.Itoa(m.Access.SSHPort)), &ssh.ClientConfig{
		User: m.Access.SSHUser, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, Timeout: time.Minute,
		HostKeyCallback: func(_ string, _ net.Addr, shown ssh.PublicKey) error {
			for _, k := range trusted {
				if string(k.Marshal()) == string(shown.Marshal()) {
					return nil
				}
			}
			return errors.New("another host key")
		},
	})
	if err != nil {
		return "", err
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	out, err := session.CombinedOutput(command)
	return string(out), err
}
