package lab

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
	"github.com/metalpool/metalpool/lab/bmc"
	"github.com/metalpool/metalpool/lab/guest"
	"github.com/metalpool/metalpool/lab/qemu"
)

// card is what a node is for as long as the lab's folder is kept. It holds secrets.
type card struct {
	ID         core.NodeID       `json:"id"`
	Address    string            `json:"address"`
	Vendor     string            `json:"vendor"` // name of the BMC's manners
	Shape      int               `json:"shape"`
	Parts      parts             `json:"parts"`
	Labels     map[string]string `json:"labels"`
	BMCPort    int               `json:"bmc_port"`
	SSHPort    int               `json:"ssh_port"`
	DockerPort int               `json:"docker_port"`
	// ConsolePort is 0 in a lab's folder of before there were consoles.
	ConsolePort int     `json:"console_port,omitempty"`
	VM          *vmCard `json:"vm,omitempty"` // nil: simulated

	User        string `json:"user"`
	Password    string `json:"password"`
	Certificate string `json:"certificate"` // PEM
	Key         string `json:"key"`         // PEM
}

// memory is what a node keeps without power.
type memory struct {
	On  bool      `json:"on"`
	BMC bmc.State `json:"bmc"`
}

// machine is what a node is made of, besides its BMC and its power: simulated, or a VM.
type machine interface {
	system
	// changed is called after the media in the BMC, the faults or the network cable
	// have changed. It returns at once.
	changed()
	faultKinds() []FaultKind // those that it can have
	stats() guest.Stats      // of the OS that runs, where they are known
	countFaults()            // brings the hits of faults up to date
}

// Node is one server: its power, its disks and what runs on it. It is the Machine of
// its BMC. It is safe for concurrent use.
type Node struct {
	card    card
	shape   shape
	drives  []core.Disk
	dir     string
	now     func() time.Time
	log     *slog.Logger
	post    time.Duration
	machine machine
	manners *bmc.Manners
	power   *power
	faults  Faults
	console *console

	keeping sync.Mutex
	kept    memory

	mu     sync.Mutex
	bmc    *bmc.BMC
	server *outlets // nil while the cord is pulled
	phase  string
	died   string    // why the power is off, where that was an accident; for people
	since  time.Time // when the power came on, for a simulated node's console
	cable  bool      // of the network is plugged in; only a VM's can be pulled
}

func newNode(c card, l *Lab) (*Node, error) {
	shape, err := c.shape()
	if err != nil {
		return nil, err
	}
	manners, err := bmc.Named(c.Vendor)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", c.ID, err)
	}
	n := &Node{
		card: c, shape: shape, dir: filepath.Join(l.config.Dir, "nodes", string(c.ID)), now: l.config.Now,
		log: l.config.Log.With("node", c.ID), post: l.times.POST, manners: manners, phase: "off", cable: true,
		faults: Faults{rack: &l.faults}, console: &console{},
	}
	n.drives = n.shape.drives(c.Parts, n.dir)
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(n.memoryFile())
	if err == nil {
		err = json.Unmarshal(text, &n.kept)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read what node %s remembers: %w", c.ID, err)
	}
	times := l.times
	if c.VM == nil {
		n.machine = &simulated{Node: n, times: times, buffers: l.buffers}
	} else {
		if n.console, err = openConsole(filepath.Join(n.dir, "console.log")); err != nil {
			return nil, fmt.Errorf("node %s: %w", c.ID, err)
		}
		// No RAID controller of a BMC's could hide the disks that QEMU was given.
		plain := *manners
		plain.RAID, n.manners = nil, &plain
		// It takes the time that it takes.
		n.machine, times = newVM(n, l.qemu), Times{}
	}
	n.power = newPower(times, n.machine, func(on bool) {
		if on {
			n.accident("")
		}
		n.say(map[bool]string{true: "powers on", false: "powers off"}[on])
		n.keep(func(m *memory) { m.On = on })
	})
	return n, nil
}

func (n *Node) memoryFile() string { return filepath.Join(n.dir, "state.json") }

// keep changes what the node remembers, and writes it down. That it cannot be
// written costs a node its memory at the lab's next start, and nothing else.
func (n *Node) keep(change func(*memory)) {
	n.keeping.Lock()
	defer n.keeping.Unlock()
	before := n.kept
	change(&n.kept)
	text, err := json.Marshal(n.kept)
	old, _ := json.Marshal(before)
	if err == nil && string(old) == string(text) {
		return
	}
	if err == nil {
		err = replaceFile(n.memoryFile(), text)
	}
	if err != nil {
		n.log.Error("what the node remembers is not kept", "err", err)
	}
}

// replaceFile writes a file whole or not at all, as far as a killed process goes. It
// does not wait for the disk: a rack may lose a second of its memory to a power cut.
func replaceFile(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// plug makes the BMC and lets it listen.
func (n *Node) plug() error {
	pair, err := tls.X509KeyPair([]byte(n.card.Certificate), []byte(n.card.Key))
	if err != nil {
		return fmt.Errorf("the certificate of the BMC of %s cannot be read", n.card.ID)
	}
	n.keeping.Lock()
	state := n.kept.BMC
	n.keeping.Unlock()
	b, err := bmc.New(bmc.Config{
		Machine: n, Manners: n.manners, User: n.card.User, Password: n.card.Password,
		State: state, Save: func(s bmc.State) { n.keep(func(m *memory) { m.BMC = s }) },
		MediaChanged: n.machine.changed,
		POST:         max(n.post, time.Millisecond), Now: n.now, Record: 100,
	})
	if err != nil {
		return err
	}
	listener, err := listen(n.power.ctx, n.card.Address, n.card.BMCPort)
	if err != nil {
		return fmt.Errorf("the BMC of %s cannot listen: %w", n.card.ID, err)
	}
	consoles, err := n.serveConsole(b)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	served := &outlets{redfish: bmc.Serve(b, listener, pair), console: consoles}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.bmc != nil {
		for _, f := range n.bmc.Faults().List() {
			f.Hits = 0
			if _, err := b.Faults().Add(f); err != nil {
				return errors.Join(err, served.close())
			}
		}
	}
	n.bmc, n.server = b, served
	return nil
}

// Unplug pulls the power cord: machine and BMC are gone at once, with all that they
// only held in memory.
func (n *Node) Unplug() error {
	n.mu.Lock()
	server := n.server
	n.server = nil
	n.mu.Unlock()
	if server == nil {
		return nil
	}
	err := server.close()
	n.power.cut()
	n.say("unplugged")
	return err
}

// Plug puts the cord back. The machine stays off.
func (n *Node) Plug() error {
	n.mu.Lock()
	plugged := n.server != nil
	n.mu.Unlock()
	if plugged {
		return nil
	}
	n.say("off")
	return n.plug()
}

// UnplugNetwork pulls the cable of the first network port, of a virtual machine. Its
// BMC has a network of its own. The cable stays out until PlugNetwork, also while the
// power is off.
func (n *Node) UnplugNetwork() error { return n.setCable(false) }

// PlugNetwork puts the cable back.
func (n *Node) PlugNetwork() error { return n.setCable(true) }

func (n *Node) setCable(in bool) error {
	if n.card.VM == nil {
		return &core.Error{Op: "pull a network cable", Node: n.ID(), Kind: core.Invalid, Err: errors.New("only virtual machines have one, and this node is simulated"), Hint: "let its agent fall silent instead: metalpool lab fault add " + string(n.ID()) + " agent-silent"}
	}
	n.mu.Lock()
	n.cable = in
	n.mu.Unlock()
	n.machine.changed()
	return nil
}

// close ends the node; what was on comes back on at the lab's next start.
func (n *Node) close() error {
	n.mu.Lock()
	server := n.server
	n.server = nil
	n.mu.Unlock()
	err := server.close()
	n.power.close()
	return errors.Join(err, n.console.close())
}

// ID is the node's name.
func (n *Node) ID() core.NodeID { return n.card.ID }

// Virtual reports whether the node is a virtual machine instead of a simulated one.
func (n *Node) Virtual() bool { return n.card.VM != nil }

// Address is the IP of its BMC and of its OS.
func (n *Node) Address() string { return n.card.Address }

// Disks are the node's disks; Path is the file that each one is.
func (n *Node) Disks() []core.Disk { return slices.Clone(n.drives) }

// Faults are those of the machine.
func (n *Node) Faults() *Faults { return &n.faults }

// BMC is the node's controller. Unplug and Plug replace it.
func (n *Node) BMC() *bmc.BMC {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.bmc
}

// Power implements bmc.Machine.
func (n *Node) Power() bmc.PowerState { return n.power.now() }

// PowerOn implements bmc.Machine.
func (n *Node) PowerOn() {
	if !n.faults.hit(PowerStuck) {
		n.power.on()
	}
}

// PowerOff implements bmc.Machine.
func (n *Node) PowerOff(graceful bool) {
	if n.faults.hit(PowerStuck) {
		return
	}
	if graceful {
		n.power.ask(false)
		return
	}
	n.power.off()
}

// Restart implements bmc.Machine.
func (n *Node) Restart(graceful bool) {
	if n.faults.hit(PowerStuck) {
		return
	}
	if graceful {
		n.power.ask(true)
		return
	}
	n.power.restart()
}

// Facts implements bmc.Machine.
func (n *Node) Facts() bmc.Facts { return n.shape.facts(n.card.Parts, n.drives) }

// say sets what the node is doing, for people.
func (n *Node) say(phase string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.phase = phase
	n.log.Debug("phase", "phase", phase)
	if n.card.VM == nil { // else what runs there writes to it
		n.print(phase)
	}
}

// accident says why the machine is off though nobody turned it off.
func (n *Node) accident(why string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.died = why
}

// entry is the node in a rack file.
func (n *Node) entry() rackfile.Node {
	var agent rackfile.AgentRoute
	if n.card.VM != nil {
		agent = rackfile.AgentRoute{Advertise: qemu.HostAddress, Address: net.JoinHostPort(n.card.Address, strconv.Itoa(n.card.VM.AgentPort))}
	}
	return rackfile.Node{
		Agent: agent,
		ID:    n.card.ID, Labels: n.card.Labels, Address: n.card.Address, SSHPort: n.card.SSHPort, DockerPort: n.card.DockerPort,
		BMC: rackfile.BMC{
			URL:  "https://" + net.JoinHostPort(n.card.Address, strconv.Itoa(n.card.BMCPort)),
			User: n.card.User, Password: n.card.Password, Fingerprint: fingerprint(n.card.Certificate),
			ConsoleKey: n.card.consoleKey(n.manners),
		},
	}
}

// Status is what a node is doing.
type Status struct {
	ID      core.NodeID    `json:"id"`
	Vendor  string         `json:"vendor"`
	Model   string         `json:"model"`
	Address string         `json:"address"`
	BMC     string         `json:"bmc"` // URL
	Power   bmc.PowerState `json:"power"`
	Phase   string         `json:"phase"`              // for people
	NoCable bool           `json:"no_cable,omitempty"` // its network cable is pulled
	Media   []string       `json:"media,omitempty"`
	Traffic bmc.Traffic    `json:"traffic"`
	SSH     guest.Stats    `json:"ssh"` // of the OS that runs
	Faults  NodeFaults     `json:"faults"`
}

// NodeFaults are the faults of a node's two halves.
type NodeFaults struct {
	BMC     []bmc.Fault `json:"bmc,omitempty"`
	Machine []Fault     `json:"machine,omitempty"`
}

// Status tells what the node is doing. Media's URLs are secrets, so of them only the
// slots are told.
func (n *Node) Status() Status {
	b := n.BMC()
	n.machine.countFaults()
	s := Status{
		ID: n.card.ID, Vendor: n.card.Vendor, Model: b.Manners().Model, Address: n.card.Address, BMC: n.entry().BMC.URL,
		Power: n.Power(), Traffic: b.Traffic(), Faults: NodeFaults{BMC: b.Faults().List(), Machine: n.faults.List()},
	}
	for slot := range b.Inserted() {
		s.Media = append(s.Media, slot)
	}
	slices.Sort(s.Media)
	n.mu.Lock()
	s.Phase, s.NoCable = n.phase, !n.cable
	died := n.died
	n.mu.Unlock()
	s.SSH = n.machine.stats()
	switch {
	case s.Power != bmc.Off || s.Phase == "unplugged":
	case died != "":
		s.Phase = "off: " + died
	default:
		s.Phase = "off"
	}
	return s
}
