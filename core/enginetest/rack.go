// Package enginetest is a rack in memory for tests of the engine: servers that keep
// their power, media and disks, and hosts on which engines run, freeze in the middle
// of a call, and wake up later. Everything has state, so that a test looks at what
// became of the servers and not at which calls were made.
//
// Nothing here knows the engine. What a disk holds is text that says whose it is.
package enginetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
)

// Rack is a set of servers. It outlives the hosts that work on it.
type Rack struct {
	// POST is how long a server takes from power on to its first program.
	POST time.Duration
	// Writing is how long an image takes to be written.
	Writing time.Duration

	mu      sync.Mutex
	servers map[string]*Server // by the host of the BMC's URL
	offers  map[string]*offer  // by media URL
	hits    map[string]int     // faults that struck, by operation
	called  []string           // requests of hosts to other systems
}

// NewRack makes a rack of servers named n1, n2, … with two disks each.
func NewRack(servers int) *Rack {
	r := &Rack{servers: map[string]*Server{}, offers: map[string]*offer{}, hits: map[string]int{}}
	for i := 1; i <= servers; i++ {
		r.Add(core.NodeID(fmt.Sprintf("n%d", i)))
	}
	return r
}

// Add puts one more server into the rack.
func (r *Rack) Add(id core.NodeID) *Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := len(r.servers) + 1
	s := &Server{
		rack: r, ID: id, Address: fmt.Sprintf("10.0.0.%d", i), power: core.PowerOff,
		disks:    map[string]Disk{},
		identity: core.Identity{UUID: fmt.Sprintf("5ca1ab1e-0000-4000-8000-%012d", i), Serial: fmt.Sprintf("SN-%s", id)},
		hardware: core.Hardware{Manufacturer: "Example", Model: "S1", Arch: "amd64", CPUs: 16, Memory: 64 * core.GiB, NICs: []core.NIC{{MAC: fmt.Sprintf("02:00:00:00:00:%02x", i), Mbps: 25000}}},
	}
	for _, disk := range []string{"a", "b"} {
		serial := fmt.Sprintf("%s-%s", id, disk)
		s.disks[serial] = Disk{}
		s.hardware.Disks = append(s.hardware.Disks, core.Disk{Serial: serial, Kind: core.SSD, Size: 480e9})
	}
	r.servers[string(id)+".bmc"] = s
	return s
}

// Clone is another rack in the same state. Nothing is under way on a rack that is
// cloned.
func (r *Rack) Clone() *Rack {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &Rack{POST: r.POST, Writing: r.Writing, servers: map[string]*Server{}, offers: map[string]*offer{}, hits: maps.Clone(r.hits), called: r.called}
	for bmc, s := range r.servers {
		twin := *s
		twin.rack, twin.disks = c, maps.Clone(s.disks)
		twin.hardware.Disks = slices.Clone(s.hardware.Disks)
		twin.setup = s.setup.clone()
		twin.faults = nil
		for _, f := range s.faults {
			same := *f
			twin.faults = append(twin.faults, &same)
		}
		c.servers[bmc] = &twin
	}
	return c
}

// Server finds a server by its name.
func (r *Rack) Server(id core.NodeID) *Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.servers[string(id)+".bmc"]
}

// Servers lists all, by name.
func (r *Rack) Servers() []*Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*Server
	for _, s := range r.servers {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Server) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return all
}

// Disk is what one disk holds; the zero Disk is erased.
type Disk struct {
	Image string
	Seed  *core.Seed
}

// Server is one server with its BMC.
type Server struct {
	ID      core.NodeID
	Address string // of its OS
	rack    *Rack

	// What follows belongs to the rack's lock.
	identity core.Identity
	hardware core.Hardware
	power    core.PowerState
	starts   int // counts power on, so that a start that was cut short never comes
	media    string
	once     bool
	first    bool // firmware looks at inserted media before the disk
	locks    bool // media stay while a ramdisk runs that came from them
	tag      string
	password string
	disks    map[string]Disk
	ramdisk  *ramdisk
	system   *core.Seed     // the OS that runs, as its seed made it
	ssh      *core.SSHLook  // what a look at the running OS finds; nil: its host key
	ran      []core.Script  // on the system that runs
	ended    map[string]int // their statuses, by ID
	console  string
	older    string
	mark     string
	log      string // the agent's
	faults   []*Fault
	erases   int
	setup    setup
	cord     chan struct{} // of the network: closed when it is plugged in again; nil: it is
}

// Hits counts how often faults of an operation have struck on this rack. It is for a
// Fault's Unless, while the rack is locked.
func (r *Rack) Hits(op string) int { return r.hits[op] }

// BMC is the address of the server's controller.
func (s *Server) BMC() string { return "https://" + string(s.ID) + ".bmc" }

// Snapshot is a server at one moment.
type Snapshot struct {
	Power   core.PowerState
	Media   string
	Once    bool
	Tag     string
	Disks   map[string]Disk
	System  *core.Seed
	SSH     *core.SSHLook // what was said of it by ShowSSH
	Ran     []core.Script // on the disk's system, in their order
	Ramdisk bool
	Erases  int               // erases of all its disks
	Starts  int               // of its firmware
	BIOS    map[string]string // what its firmware is set to
	Volumes []core.Volume
}

// Look takes a snapshot.
func (s *Server) Look() Snapshot {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	disks := map[string]Disk{}
	for serial, d := range s.disks {
		disks[serial] = d
	}
	return Snapshot{Power: s.power, Media: s.media, Once: s.once, Tag: s.tag, Disks: disks, System: s.system, SSH: s.ssh, Ran: s.ran, Ramdisk: s.ramdisk != nil, Erases: s.erases, Starts: s.setup.starts, BIOS: maps.Clone(s.setup.force), Volumes: slices.Clone(s.setup.volumes)}
}

// Change alters what the server is made of or tells about itself.
func (s *Server) Change(fn func(id *core.Identity, h *core.Hardware)) {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	fn(&s.identity, &s.hardware)
	for _, d := range s.hardware.Disks {
		if _, there := s.disks[d.Key()]; !there {
			s.disks[d.Key()] = Disk{}
		}
	}
}

// SetPassword makes the BMC refuse every other one; "" accepts all.
func (s *Server) SetPassword(password string) {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	s.password = password
}

// Fault makes calls of one operation fail.
type Fault struct {
	Op    string // "power", "set power", "insert", "check-in", "write", "erase", …
	Err   error
	Times int  // how many calls fail; negative: all
	After bool // the call fails after it took effect
	// Unless is asked, where it is set, before a call fails; true lets it pass.
	Unless func(r *Rack) bool
}

// Fail adds a fault.
func (s *Server) Fail(f Fault) {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Heal removes every fault.
func (s *Server) Heal() {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	s.faults = nil
}

// act does one operation on the server unless a fault stops it. The rack is locked.
func (s *Server) act(op string, effect func() error) error {
	for _, f := range s.faults {
		if f.Op != op || f.Times == 0 || (f.Unless != nil && f.Unless(s.rack)) {
			continue
		}
		f.Times--
		s.rack.hits[op]++
		if f.After {
			if err := effect(); err != nil {
				return err
			}
		}
		return f.Err
	}
	return effect()
}

// faulty reports whether something that the server does by itself fails.
func (s *Server) faulty(op string) bool {
	return s.act(op, func() error { return nil }) != nil
}

// MediaFirst is firmware that starts inserted media also where nothing asks it to.
func (s *Server) MediaFirst() {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	s.first = true
}

// ShowSSH makes the OS answer a look at its SSH so.
func (s *Server) ShowSSH(l core.SSHLook) {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	s.ssh = &l
}

// Forget has the BMC lose the line with which the last ramdisk began.
func (s *Server) Forget() {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	s.mark = ""
}

// Say is what the server's console has since its last ramdisk began, and what its agent's
// log holds.
func (s *Server) Say(console, log string) {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	s.console, s.log = console, log
}

// SaidBefore is what the BMC has kept of the console from before the last boot of a
// ramdisk.
func (s *Server) SaidBefore(text string) {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	s.older = text
}

// LetIn adds a key to the system that runs, as its owner may.
func (s *Server) LetIn(key string) {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	system := *s.system
	system.Keys = append(slices.Clone(system.Keys), key)
	s.system = &system
}

// LockMedia makes the BMC refuse to eject what its running server came from.
func (s *Server) LockMedia() {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	s.locks = true
}

// Unplug takes the server off the network: its ramdisk goes on, and nobody hears it.
// Only a write that is under way minds it. Plug puts it back.
func (s *Server) Unplug() {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	s.cord = make(chan struct{})
}

// Plug ends what Unplug began.
func (s *Server) Plug() {
	s.rack.mu.Lock()
	defer s.rack.mu.Unlock()
	close(s.cord)
	s.cord = nil
}

func (s *Server) turnOff() {
	s.power, s.ramdisk, s.system = core.PowerOff, nil, nil
	s.starts++
}

func (s *Server) turnOn() {
	if s.power == core.PowerOn {
		return
	}
	s.power = core.PowerOn
	s.start()
}

// restart is what a server does by itself: its power stays on.
func (s *Server) restart() {
	s.ramdisk, s.system = nil, nil
	s.start()
}

func (s *Server) start() {
	s.starts++
	start := s.starts
	time.AfterFunc(s.rack.POST, func() {
		s.rack.mu.Lock()
		defer s.rack.mu.Unlock()
		if s.starts == start {
			s.boot()
		}
	})
}

// boot starts what the override names and, as firmware does, the disk where that
// leads nowhere.
func (s *Server) boot() {
	s.apply()
	media := s.once || s.first && s.media != ""
	s.once = false
	if media && s.bootMedia() {
		return
	}
	s.bootDisk()
}

func (s *Server) bootMedia() bool {
	o := s.rack.offers[s.media]
	if o == nil || o.host.Down() || s.faulty("fetch media") {
		return false
	}
	s.ramdisk = &ramdisk{boot: o.boot.ID, token: o.secret.Token, generation: o.params.Generation, done: map[string]outcome{}}
	if s.faulty("check-in") {
		return true
	}
	s.mark = "metalpool: begins " + core.ConsoleMark(o.boot.ID) + "\r\n"
	select {
	case o.checkIn <- core.AgentEndpoint{Address: s.Address + ":9000", Certificate: []byte("certificate of " + o.boot.ID), Identity: s.identity, Peer: s.Address}:
	default: // it has checked in before
	}
	return true
}

func (s *Server) bootDisk() {
	s.ramdisk = nil
	if s.faulty("boot disk") {
		return
	}
	for _, d := range s.seen() {
		if content := s.disks[d.Key()]; content.Image != "" && content.Seed != nil {
			s.system = content.Seed
			return
		}
	}
}

// offer is boot media that a host serves.
type offer struct {
	host    *Host
	boot    core.Boot
	secret  core.BootSecret
	params  core.BootParams
	checkIn chan core.AgentEndpoint
}

// ramdisk is the agent's memory.
type ramdisk struct {
	boot, token string
	generation  uint64
	done        map[string]outcome // by command
	ended       map[string]int     // the statuses of scripts, by ID
}

type outcome struct {
	report core.EraseReport
	err    error
}

// PublicKey is the public half of a private host key made by a Host.
func PublicKey(private string) string {
	return "ssh-ed25519 " + strings.TrimPrefix(private, "PRIVATE HOST KEY ")
}

func fault(op string, kind core.Kind, format string, args ...any) error {
	return &core.Error{Op: op, Kind: kind, Err: fmt.Errorf(format, args...)}
}

// ErrUnreachable is what a BMC answers that does not answer.
var ErrUnreachable = &core.Error{Op: "reach BMC", Kind: core.Transient, Err: errors.New("no route to host")}

// ErrBroken is the answer of a BMC or an agent whose server is at fault.
var ErrBroken = &core.Error{Op: "ask the server", Kind: core.Backend, Err: errors.New("the hardware is broken")}
