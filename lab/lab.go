package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
	"github.com/metalpool/metalpool/lab/bmc"
	"github.com/metalpool/metalpool/lab/qemu"
)

// Config is what a lab is made of.
type Config struct {
	// Dir keeps identities, disks and what the nodes remember. It is made if it is not
	// there, readable by its owner alone.
	Dir string
	// Nodes is how many there are; 0 is as many as Dir has, or one. A lab grows, and
	// never shrinks.
	Nodes int
	// Net is a block of loopback addresses such as 127.77.0.0/16. Empty: Dir's, or one
	// that no other lab uses. A rack that is elsewhere moves there, and who has enrolled
	// it is to be told.
	Net string
	// Ports at each node's address; and of the control API, at the block's first. 0 is
	// 8443, 2200 for the serial console, 2222, 2376 and 8442. AgentPort is where the
	// ramdisk of a VM is reached; 0 is 7443.
	BMCPort, ConsolePort, SSHPort, DockerPort, ControlPort, AgentPort int
	// Vendors are the names of the BMCs' manners, taken in turn by new nodes. Empty:
	// one of each of Dell, HPE, Supermicro, Lenovo and OpenBMC.
	Vendors []string
	// VM makes new nodes virtual machines; nil: they are like those that Dir has, or
	// simulated.
	VM    *VM
	Times *Times       // of simulated nodes; nil: Quick
	Log   *slog.Logger // nil: nothing is logged
	Now   func() time.Time
}

// DefaultVendors are the manners of new nodes where none are chosen.
var DefaultVendors = []string{"idrac9", "ilo5", "supermicro-x11", "xcc", "openbmc"}

// Lab is a running rack.
type Lab struct {
	config  Config
	times   Times
	buffers *agent.Buffers
	faults  Faults // of whichever machine comes first
	lock    *os.File
	net     string
	// movedFrom is the block that the rack had before.
	movedFrom string
	nodes     []*Node
	byID      map[core.NodeID]*Node
	control   *control
	qemu      *hypervisor // nil where all nodes are simulated
}

// rack is the lab's file in its folder.
type rack struct {
	Net   string `json:"net"`
	Nodes []card `json:"nodes"`
}

// vms reports whether the nodes are virtual machines; a rack has one kind.
func (r rack) vms() bool { return len(r.Nodes) > 0 && r.Nodes[0].VM != nil }

const rackName = "lab.json"

// maxChunks bounds the memory of all writes in the rack together, to about 8 MiB
// each, also where there are many processors.
const maxChunks = 8

// Up starts a lab. When it returns, every BMC listens, and the nodes that were on when
// the lab was closed are powered on again. ctx bounds the start alone.
func Up(ctx context.Context, c Config) (*Lab, error) {
	setDefaults(&c)
	if c.VM != nil {
		if err := c.VM.check(); err != nil {
			return nil, invalid(err)
		}
	}
	l := &Lab{config: c, times: *c.Times, buffers: agent.NewBuffers(min(2*runtime.GOMAXPROCS(0), maxChunks)), byID: map[core.NodeID]*Node{}}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, invalid(err)
	}
	if err := l.lockDir(); err != nil {
		return nil, err
	}
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func invalid(err error) error {
	return &core.Error{Op: "start the lab", Kind: core.Invalid, Err: err}
}

func setDefaults(c *Config) {
	for _, p := range []struct {
		port     *int
		standard int
	}{{&c.BMCPort, 8443}, {&c.ConsolePort, defaultConsolePort}, {&c.SSHPort, 2222}, {&c.DockerPort, 2376}, {&c.ControlPort, 8442}, {&c.AgentPort, 7443}} {
		if *p.port == 0 {
			*p.port = p.standard
		}
	}
	if len(c.Vendors) == 0 {
		c.Vendors = DefaultVendors
	}
	if c.Times == nil {
		c.Times = &Quick
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// lockDir keeps a second lab off the same disks.
func (l *Lab) lockDir() error {
	f, err := os.OpenFile(filepath.Join(l.config.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return invalid(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return &core.Error{Op: "start the lab", Kind: core.Busy, Err: fmt.Errorf("another lab runs in %s", l.config.Dir), Hint: "end that one, or choose another folder"}
	}
	l.lock = f
	return nil
}

func (l *Lab) start(ctx context.Context) error {
	r, err := l.load()
	if err != nil {
		return err
	}
	if to := l.config.Net; to != "" && to != r.Net {
		l.movedFrom = r.Net
		if err := r.move(to); err != nil {
			return err
		}
	}
	if err := l.openControl(ctx, &r); err != nil {
		return err
	}
	l.net = r.Net
	if err := l.grow(ctx, &r); err != nil {
		return err
	}
	if r.vms() {
		var accel qemu.Accel
		if l.config.VM != nil {
			accel = l.config.VM.Accel
		}
		if l.qemu, err = findHypervisor(ctx, accel); err != nil {
			return err
		}
	}
	var back []*Node
	for _, c := range r.Nodes {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := newNode(c, l)
		if err != nil {
			return invalid(err)
		}
		l.nodes = append(l.nodes, n)
		l.byID[n.ID()] = n
		if n.kept.On {
			back = append(back, n)
		}
		if err := n.plug(); err != nil {
			return &core.Error{Op: "start the lab", Kind: core.Invalid, Err: err, Hint: "another program may use that port; choose another one"}
		}
	}
	for _, n := range back {
		n.power.on()
	}
	l.control.serve(l)
	return nil
}

func (l *Lab) load() (rack, error) {
	var r rack
	text, err := os.ReadFile(filepath.Join(l.config.Dir, rackName))
	if errors.Is(err, os.ErrNotExist) {
		r.Net = l.config.Net
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil { // what it says may be a secret
		return r, invalid(fmt.Errorf("%s in %s cannot be read", rackName, l.config.Dir))
	}
	for _, c := range r.Nodes {
		if err = c.check(); err == nil && (c.VM != nil) != r.vms() {
			err = fmt.Errorf("node %s is of another kind than the first one", c.ID)
		}
		if err != nil {
			return r, &core.Error{Op: "start the lab", Kind: core.Invalid, Err: fmt.Errorf("%s in %s: %w", rackName, l.config.Dir, err), Hint: "choose another folder, or put the file back as it was"}
		}
	}
	if l.config.VM != nil && len(r.Nodes) > 0 && !r.vms() {
		return r, &core.Error{Op: "start the lab", Kind: core.Invalid, Err: fmt.Errorf("the nodes of the lab in %s are simulated, not virtual machines", l.config.Dir), Hint: "choose another folder for virtual machines"}
	}
	if l.config.Nodes != 0 && l.config.Nodes < len(r.Nodes) {
		return r, &core.Error{Op: "start the lab", Kind: core.Invalid, Err: fmt.Errorf("the lab in %s has %d nodes, more than %d", l.config.Dir, len(r.Nodes), l.config.Nodes), Hint: "leave the number out, or choose another folder"}
	}
	return r, nil
}

// grow makes the nodes that are missing and writes the rack down.
func (l *Lab) grow(ctx context.Context, r *rack) error {
	block, err := parseNet(r.Net)
	if err != nil {
		return invalid(err)
	}
	want := max(l.config.Nodes, len(r.Nodes), 1)
	if err := roomFor(block, want); err != nil {
		return err
	}
	if want == len(r.Nodes) && l.movedFrom == "" {
		return nil
	}
	vms := l.config.VM
	if vms == nil && r.vms() {
		vms = &VM{}
	}
	for i := len(r.Nodes); i < want; i++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c, err := l.newCard(i, at(block, firstNode+i).String(), vms)
		if err != nil {
			return err
		}
		r.Nodes = append(r.Nodes, c)
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err == nil {
		err = replaceFile(filepath.Join(l.config.Dir, rackName), text)
	}
	if err != nil {
		return &core.Error{Op: "start the lab", Kind: core.Internal, Err: err}
	}
	return nil
}

// Nodes per rack and racks per zone, for labels.
const (
	perRack = 8
	zones   = 3
)

func (l *Lab) newCard(i int, address string, vms *VM) (card, error) {
	vendor := l.config.Vendors[i%len(l.config.Vendors)]
	if _, err := bmc.Named(vendor); err != nil {
		return card{}, invalid(err)
	}
	c := card{
		ID: core.NodeID(fmt.Sprintf("n%03d", i+1)), Address: address, Vendor: vendor,
		Labels:  map[string]string{"rack": fmt.Sprintf("r%d", i/perRack+1), "zone": string(rune('a' + i/perRack%zones)), "vendor": vendor},
		BMCPort: l.config.BMCPort, ConsolePort: l.config.ConsolePort, SSHPort: l.config.SSHPort, DockerPort: l.config.DockerPort,
		User: "admin", Password: randomHex(12),
	}
	if vms != nil {
		c.VM = vms.newVMCard(i, l.config.AgentPort)
	} else {
		c.Shape = i % len(shapes)
	}
	s, err := c.shape()
	if err != nil {
		return card{}, err
	}
	c.Parts = newParts(s)
	if err := c.check(); err != nil {
		return card{}, invalid(err)
	}
	certificate, key, err := bmc.NewCertificate(string(c.ID)+".bmc.lab", net.ParseIP(address))
	if err != nil {
		return card{}, err
	}
	c.Certificate, c.Key = string(certificate), string(key)
	return c, nil
}

// fingerprint is the SHA-256 of a PEM certificate, lower-case hex.
func fingerprint(certificate string) string {
	block, _ := pem.Decode([]byte(certificate))
	if block == nil {
		return ""
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:])
}

// Close ends the lab: every socket is closed, every system ended. Disks, identities
// and which nodes were on are kept.
func (l *Lab) Close() error {
	var errs []error
	done := make(chan error, len(l.nodes))
	for _, n := range l.nodes {
		go func() { done <- n.close() }()
	}
	for range l.nodes {
		errs = append(errs, <-done)
	}
	// Last: its port is what tells another lab that the block of addresses is taken.
	if l.control != nil {
		errs = append(errs, l.control.close())
	}
	err := l.lock.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil // closed before
	}
	return errors.Join(append(errs, err)...)
}

// Accel is what runs the nodes' processors; empty where they are simulated.
func (l *Lab) Accel() qemu.Accel {
	if l.qemu == nil {
		return ""
	}
	return l.qemu.accel
}

// Nodes are the rack's, in order.
func (l *Lab) Nodes() []*Node { return l.nodes }

// Node finds one by its ID.
func (l *Lab) Node(id core.NodeID) (*Node, error) {
	n, found := l.byID[id]
	if !found {
		return nil, &core.Error{Op: "find lab node " + strings.TrimSpace(string(id)), Kind: core.NotFound, Err: fmt.Errorf("the lab has the nodes %s to %s", l.nodes[0].ID(), l.nodes[len(l.nodes)-1].ID())}
	}
	return n, nil
}

// Net is the block of addresses that the lab uses.
func (l *Lab) Net() string { return l.net }

// Rack lists the servers for enrolment. It holds the BMCs' passwords.
func (l *Lab) Rack() rackfile.File {
	var f rackfile.File
	for _, n := range l.nodes {
		f.Nodes = append(f.Nodes, n.entry())
	}
	return f
}

// Status is what the nodes are doing, in order.
func (l *Lab) Status() []Status {
	list := make([]Status, len(l.nodes))
	for i, n := range l.nodes {
		list[i] = n.Status()
	}
	return list
}
