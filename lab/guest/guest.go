package guest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/core/deploy/seed"
	"github.com/metalpool/metalpool/lab/guest/vfs"
)

// Config is what a machine boots with.
type Config struct {
	Seed    seed.Files
	Journal vfs.Journal // the disk's own files; what was changed since the image was written
	Address string      // the machine's IP, on which it listens
	SSHPort int         // 0 takes a free one
	CPUs    int
	Memory  int64 // bytes
	MAC     string
	// HostKey is shown instead of the machine's own, where a fault asks for it.
	HostKey ssh.Signer
	// Power is told when somebody on the machine shuts it down or restarts it. It must
	// return at once; the machine goes on until Shutdown. nil: the command fails.
	Power func(restart bool)
	Now   func() time.Time
}

// Guest is a running machine.
type Guest struct {
	config Config
	tree   *vfs.Tree
	booted time.Time
	engine *engine
	host   string // set by hostname until the next boot; guarded by mu
	keys   []ssh.Signer

	listener net.Listener
	ctx      context.Context
	stop     context.CancelFunc
	work     sync.WaitGroup

	mu        sync.Mutex
	conns     map[net.Conn]bool
	stats     Stats
	processes map[int]bool // those of setsid, which outlive who began them
	lastPID   int
	off       chan struct{} // while the machine is off the network; closed when it is back
}

// Stats counts what reached the machine since it booted.
type Stats struct {
	Connections int `json:"connections"` // to SSH
	Logins      int `json:"logins"`
	Refused     int `json:"refused"` // keys that were offered and not let in
	Commands    int `json:"commands"`
}

// Boot starts a machine from its disk. It returns once SSH listens.
func Boot(c Config) (*Guest, error) {
	tree, err := vfs.New(debian(), c.Journal, c.Now)
	if err != nil {
		return nil, fmt.Errorf("mount the root file system: %w", err)
	}
	g := &Guest{config: c, tree: tree, booted: c.Now(), conns: map[net.Conn]bool{}}
	g.engine = &engine{g: g}
	g.ctx, g.stop = context.WithCancel(context.Background())
	if err := g.initialise(); err != nil {
		return nil, err
	}
	// By this whoever runs scripts knows whether the machine was restarted in the middle.
	if err := g.put(bootIDFile, bootID()+"\n", 0o444); err != nil {
		return nil, fmt.Errorf("tell the boot's ID: %w", err)
	}
	g.config.Seed = seed.Files{} // it may be large, and is on the disk
	if g.keys, err = g.hostKeys(); err != nil {
		return nil, err
	}
	g.listener, err = listen(g.ctx, c.Address, strconv.Itoa(c.SSHPort))
	if err != nil {
		return nil, fmt.Errorf("start sshd: %w", err)
	}
	g.work.Go(g.accept)
	if g.enabled("docker") {
		// As on a real machine, a boot goes on without a service that fails; what it
		// said stays in the service's state.
		_ = g.engine.start()
	}
	return g, nil
}

const bootIDFile = "/proc/sys/kernel/random/boot_id"

// bootID is a new one for each boot, as the kernel makes it.
func bootID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func listen(ctx context.Context, address, port string) (net.Listener, error) {
	var c net.ListenConfig
	return c.Listen(ctx, "tcp", net.JoinHostPort(address, port))
}

// Addr is where SSH listens.
func (g *Guest) Addr() net.Addr { return g.listener.Addr() }

// Files is the machine's file system as root sees it.
func (g *Guest) Files() vfs.View { return g.tree.As(0, 0) }

// Stats tells what reached the machine.
func (g *Guest) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stats
}

func (g *Guest) count(change func(*Stats)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change(&g.stats)
}

// Shutdown stops the machine as cutting its power does: every socket is closed and
// every command ended when it returns. What was written is on its disk.
func (g *Guest) Shutdown() error {
	g.stop()
	err := g.listener.Close()
	g.engine.stop()
	g.mu.Lock()
	for c := range g.conns {
		_ = c.Close()
	}
	g.mu.Unlock()
	g.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// track keeps a connection to be closed by Shutdown; false if that came first. off is not
// nil where it came while the machine was off the network.
func (g *Guest) track(c net.Conn) (off <-chan struct{}, tracked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ctx.Err() != nil {
		return nil, false
	}
	g.conns[c] = true
	g.stats.Connections++
	return g.off, true
}

func (g *Guest) forget(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}
