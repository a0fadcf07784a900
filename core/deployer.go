package core

import (
	"context"
	"io"
	"time"
)

// Deployer is what the engine needs besides the BMC: boot media, check-ins, the
// agent's client, image data, seeds, and the look at a machine's SSH. All of its
// services are reachable only while this process lives.
type Deployer interface {
	// NewBoot makes the keys and the token of one ramdisk boot. The secret is to be
	// sealed and stored before Offer.
	NewBoot(ttl time.Duration) (Boot, BootSecret, error)
	// Offer serves the boot's media and takes its check-in until Withdraw. The URL is
	// for the BMC; peer is the BMC's host, from which the address it can reach us at
	// is found, unless advertise names one.
	Offer(ctx context.Context, b Boot, s BootSecret, p BootParams) (mediaURL string, err error)
	// AwaitCheckIn returns the first check-in that the token admits.
	AwaitCheckIn(ctx context.Context, bootID string) (AgentEndpoint, error)
	Withdraw(bootID string)
	// Dial makes no call yet.
	Dial(b Boot, s BootSecret, generation uint64) (Agent, error)

	// NewHostKeys makes a machine's SSH host keys: private in PEM, public in
	// authorized_keys format.
	NewHostKeys() (private, public []string, err error)
	// RenderSeed makes the bytes of the cidata filesystem.
	RenderSeed(s Seed) ([]byte, error)
	// OpenImage checks the image's source and makes its chunks ready to be served.
	OpenImage(ctx context.Context, i Image) (ImageSource, error)
	// Examine reads a new image's file: size, digest, format; it refuses what cannot
	// be laid down.
	Examine(ctx context.Context, i Image, progress func(done, total Bytes)) (Image, error)
	// NewLoginKey makes a key pair of SSH for ourselves: the private one in PEM, the
	// public one in authorized_keys format with that comment.
	NewLoginKey(comment string) (private []byte, public string, err error)
	// LogIn opens a machine as its login user. Only a server that shows one of the host
	// keys hears of the key; one that refuses it is Denied, one that is out of reach is
	// Transient.
	LogIn(ctx context.Context, at Access, private []byte) (Login, error)
	// LookAtSSH looks once at a machine's SSH, without logging in. The error says what
	// was met where no key is shown.
	LookAtSSH(ctx context.Context, address string, port int) (SSHLook, error)
}

// RamdiskChecker is a Deployer that knows, before anything is done to a server, that the
// ramdisk it would have it boot is no good: the one of an older version, say.
type RamdiskChecker interface {
	CheckRamdisk() error
}

// CheckRamdisk says what is wrong with the ramdisk that servers would boot from here; nil
// where nothing is known to be.
func (e *Engine) CheckRamdisk() error {
	if c, knows := e.deployer.(RamdiskChecker); knows {
		return c.CheckRamdisk()
	}
	return nil
}

// Login is a conversation with a machine's OS, as its login user.
type Login interface {
	// Keys are the lines of the user's authorized_keys.
	Keys(ctx context.Context) ([]string, error)
	// SetKeys replaces them as a whole: whoever looks finds the old or the new ones.
	SetKeys(ctx context.Context, lines []string) error
	// AwaitCloudInit returns once cloud-init has ended. That it failed is Invalid, with
	// what it says: its input came from the user.
	AwaitCloudInit(ctx context.Context) error
	// Run runs a script and returns its exit status once it has ended, by itself or at its
	// limit. One of an ID that has ended before is not run again; its status is returned.
	// The error is ErrUnknownOutcome where one was begun and its end is not to be found,
	// Transient where the connection broke: the script may go on.
	Run(ctx context.Context, s Script, output io.Writer) (status int, err error)
	Close() error
}

// SSHLook is what one look at a machine's SSH found.
type SSHLook struct {
	Sign Sign
	Key  string // the host key, authorized_keys format; where Sign is KeyShown
}

// Sign says how much of an SSH server is there, the least first.
type Sign int

const (
	Silent   Sign = iota // nothing answers at the address, or there is no way to it
	Refused              // the address answers that nobody listens
	Accepted             // the connection is taken, by somebody who does not greet as SSH does
	Greeted              // an SSH server greets, and shows no host key
	KeyShown
)

// BootParams is what the ramdisk is told through the media's parameter area.
type BootParams struct {
	Node       NodeID
	Generation uint64
	BMCHost    string // whom the media is for
	Advertise  string // overrides the address that we are reached at
	Agent      AgentRoute
	Network    *Network
	Silence    time.Duration // the agent powers off after so long without a call
}

// Seed is what cloud-init gets.
type Seed struct {
	InstanceID string // the attempt: new for each, so that cloud-init runs anew
	Hostname   string
	User       string
	Keys       []string
	HostKeys   []string // private, PEM
	// MACs are the Ethernet ports that ask DHCP, the agent's first, under the MAC as
	// the agent did; without any, cloud-init chooses a port and an identifier.
	MACs []string
	// Network, where it is set, is configured instead.
	Network  *Network
	UserData []byte // the user's own, verbatim
}

// ImageSource is an image ready to be written. Close frees what it holds; chunks
// are fetched from it by the agent.
type ImageSource interface {
	Manifest() Manifest
	Close() error
}

// Manifest tells an agent what to write. It travels over the authenticated
// channel; the chunks themselves over plain HTTP.
type Manifest struct {
	Size      Bytes    `json:"size"`       // bytes on the disk
	ChunkSize Bytes    `json:"chunk_size"` // the last chunk may be shorter
	Chunks    []string `json:"chunks"`     // SHA-256 of each, hex; "" is all zero
	// Port and Path are where the chunks are, at the host that the agent knows us by:
	// chunk N is Path/N, answered with zstd-compressed bytes.
	Port int    `json:"port"`
	Path string `json:"path"`
}

// Agent is a conversation with the program in a node's ramdisk. Commands are
// idempotent by their ID: the same ID again re-attaches to the work under way or
// returns its result. A call with an older generation than the agent has seen is
// refused with LeaseLost.
type Agent interface {
	Inventory(ctx context.Context) (Inventory, error)
	// Log returns the last lines that the agent and its kernel said, at most 64 KiB. It
	// is for people, and does not wait for an agent that is out of reach.
	Log(ctx context.Context) (string, error)
	// Write lays the image down on the disk with that serial.
	Write(ctx context.Context, id string, o WriteOrder, progress func(done, total Bytes)) error
	// Seed puts the cidata filesystem at the disk's end and removes stale ones elsewhere.
	Seed(ctx context.Context, id string, o SeedOrder) error
	// Erase erases and verifies every disk.
	Erase(ctx context.Context, id string, o EraseOrder, progress func(done, total Bytes)) (EraseReport, error)
	// Boot starts the installed OS. The answer comes before the agent is gone.
	Boot(ctx context.Context, id string, o BootOrder) error
	// Run runs a script in the ramdisk and returns its exit status once it has ended, by
	// itself or at its limit, which is 124. Its ID is the command's, and none may be empty;
	// whom it runs as, and Again, say nothing here.
	Run(ctx context.Context, s Script, output io.Writer) (status int, err error)
	// Owes is the answer that the agent is asked for now. Unlike the rest it may be asked
	// for while another call is under way, and returns at once.
	Owes() Owed
	Close() error
}

// Owed is an answer that an agent owes. Calls are repeated by themselves, so that only
// this tells of one that is out of reach while its work goes on.
type Owed struct {
	Agent string    // its address
	Since time.Time // when it was asked first; zero: it owes none
	Until time.Time // when it is given up, should it not answer
	Why   string    // what the last try met, in a few words; "" where it just gets no answer
}

func (o Owed) String() string {
	text := "its agent at " + o.Agent + " does not answer"
	if o.Why != "" {
		text += ": " + o.Why
	}
	return text
}

// Inventory is what the agent finds.
type Inventory struct {
	Identity Identity `json:"identity"`
	Hardware Hardware `json:"hardware"`
	Attempt  string   `json:"attempt,omitempty"` // boot ID it was started with
}

// WriteOrder is one image to one disk.
type WriteOrder struct {
	Disk     string   `json:"disk"` // serial or WWN
	Manifest Manifest `json:"manifest"`
}

// SeedOrder is one seed to the disk that was written.
type SeedOrder struct {
	Disk       string `json:"disk"`
	Filesystem []byte `json:"filesystem"`
}

// EraseOrder is what to erase: all that the inventory knows. A disk of it that is
// missing fails the erase.
type EraseOrder struct {
	Disks []string `json:"disks"` // serials or WWNs
}

// EraseReport is one line per disk.
type EraseReport struct {
	Disks []DiskErase `json:"disks"`
	// Reset is what else of the owner was taken away, a line each: boot entries, TPM,
	// crash dumps in the firmware's store.
	Reset []string `json:"reset,omitempty"`
}

// DiskErase says how one disk was erased. Verified means that sentinels written
// before at random places were gone after, read past the cache.
type DiskErase struct {
	Disk     string     `json:"disk"`
	Method   string     `json:"method"`
	Class    EraseClass `json:"class"`
	Verified bool       `json:"verified"`
	Err      string     `json:"err,omitempty"`
}

// BootOrder says how to leave the ramdisk.
type BootOrder struct {
	Disk string   `json:"disk"`
	Mode BootMode `json:"mode"`
}

// BootMode is kexec or reboot.
type BootMode string

const (
	Kexec  BootMode = "kexec"
	Reboot BootMode = "reboot"
)
