package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/metalpool/metalpool/core"
)

// ServerName is what the agent asks for in the TLS handshake of its check-in; by it
// the engine knows which boot's certificate to show.
func ServerName(boot string) string { return boot + Domain }

// Domain ends each ServerName. It is resolved nowhere.
const Domain = ".boot.metalpool"

// Fingerprint is a certificate's SHA-256 in lower-case hex.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// CheckInPath is where an agent checks in, by POST of a CheckIn over TLS. It shows
// its own certificate as the client's: what it listens with afterwards.
//
// 200 is a CheckInAnswer; 400, 401, 403, 409 and 410 refuse for good; anything
// else is a passing fault.
const CheckInPath = "/v1/check-in"

// CheckIn tells where an agent listens.
type CheckIn struct {
	Version  int           `json:"version"`
	Boot     string        `json:"boot"`
	Node     core.NodeID   `json:"node"`
	Token    string        `json:"token"` // a secret
	Port     int           `json:"port"`  // where it listens, at the address it calls from
	Address  string        `json:"address,omitempty"`
	Identity core.Identity `json:"identity"`
}

// Validate refuses what no agent of ours would send.
func (c CheckIn) Validate() error {
	if c.Version != ParamsVersion {
		return fmt.Errorf("an agent of version %d, and this engine knows %d", c.Version, ParamsVersion)
	}
	if c.Boot == "" || c.Token == "" {
		return errors.New("no boot ID, or no token")
	}
	if c.Address != "" {
		return checkHostPort(c.Address)
	}
	if c.Port < 1 || c.Port > 65535 {
		return fmt.Errorf("%d is not a port", c.Port)
	}
	return nil
}

func checkHostPort(address string) error {
	host, port, err := net.SplitHostPort(address)
	if n, convErr := strconv.Atoi(port); err != nil || convErr != nil || host == "" || n < 1 || n > 65535 {
		return fmt.Errorf("%q is not an address with a port", address)
	}
	return nil
}

// CheckInAnswer admits an agent.
type CheckInAnswer struct {
	Peer string `json:"peer"` // the address that the engine saw it come from
}

// What every call of the engine carries; and a command, its ID.
const (
	HeaderGeneration = "Metalpool-Generation"
	HeaderCommand    = "Metalpool-Command"
)

// The agent's paths, over mutual TLS with both certificates pinned.
//
// CommandPath takes PUT of a Command: it starts the work and answers with its
// Status at once, or, where the ID is known, attaches to it. GET answers with the
// Status when it differs from the one whose Seq was given as QueryAfter, at the
// latest after QueryWait seconds.
const (
	InventoryPath = "/v1/inventory"
	LogPath       = "/v1/log"
	CommandPath   = "/v1/command"

	QueryAfter = "after"
	QueryWait  = "wait"
)

// Log is what an agent answers at LogPath: the last lines of its own log and of its
// kernel's, at most MaxLog bytes.
type Log struct {
	Text string `json:"text"`
}

// MaxLog bounds Log, in bytes.
const MaxLog = 64 << 10

// ValidCommandID reports whether an ID can travel in a header.
func ValidCommandID(id string) bool {
	if id == "" || len(id) > 200 {
		return false
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// MaxWait bounds QueryWait, in seconds.
const MaxWait = 30

// Command is one order; exactly one field is set.
type Command struct {
	Write *WriteOrder      `json:"write,omitempty"`
	Seed  *SeedOrder       `json:"seed,omitempty"`
	Erase *core.EraseOrder `json:"erase,omitempty"`
	Boot  *core.BootOrder  `json:"boot,omitempty"`
	Run   *RunOrder        `json:"run,omitempty"`
}

// WriteOrder is core's, and the hosts that have the chunks. A repeat of it may name
// another source: Hosts, Port and Path are no part of what is ordered.
type WriteOrder struct {
	core.WriteOrder
	// Hosts are tried in turn, the host that calls being the last.
	Hosts []string `json:"hosts,omitempty"`
}

// SeedOrder is core's with the file system compressed, since it is mostly zeros.
type SeedOrder struct {
	Disk string `json:"disk"`
	Zstd []byte `json:"zstd"`
}

// SeedSize is the size of the partition that the seed is put on, in bytes. A
// smaller file system leaves zeros behind it.
const SeedSize = 16 << 20

// MaxChunk bounds a manifest's chunk size, in bytes: an agent holds some in memory.
const MaxChunk = 16 << 20

// Name says which order it is.
func (c Command) Name() string {
	switch {
	case c.Write != nil:
		return "write"
	case c.Seed != nil:
		return "seed"
	case c.Erase != nil:
		return "erase"
	case c.Boot != nil:
		return "boot"
	case c.Run != nil:
		return "run"
	}
	return "nothing"
}

// Validate refuses orders that could never be carried out, whatever the machine.
func (c Command) Validate() error {
	n := 0
	for _, set := range []bool{c.Write != nil, c.Seed != nil, c.Erase != nil, c.Boot != nil, c.Run != nil} {
		if set {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("%d orders in one command", n)
	}
	switch {
	case c.Write != nil:
		return validateManifest(c.Write.Manifest)
	case c.Run != nil:
		return c.Run.validate()
	case c.Boot != nil && c.Boot.Mode != core.Kexec && c.Boot.Mode != core.Reboot:
		return fmt.Errorf("boot mode %q is neither %s nor %s", c.Boot.Mode, core.Kexec, core.Reboot)
	}
	return nil
}

func validateManifest(m core.Manifest) error {
	if m.Size <= 0 || m.ChunkSize <= 0 || m.ChunkSize > MaxChunk {
		return fmt.Errorf("an image of %d bytes in chunks of %d", int64(m.Size), int64(m.ChunkSize))
	}
	if want := (m.Size-1)/m.ChunkSize + 1; core.Bytes(len(m.Chunks)) != want {
		return fmt.Errorf("%d chunks for an image that has %d", len(m.Chunks), want)
	}
	for i, sum := range m.Chunks {
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != 0 && len(raw) != sha256.Size {
			return fmt.Errorf("chunk %d: %q is not a SHA-256 in hex", i, sum)
		}
	}
	if m.Port < 1 || m.Port > 65535 {
		return fmt.Errorf("chunks at port %d", m.Port)
	}
	return nil
}

// State is how far a command is.
type State string

const (
	Running State = "running"
	Done    State = "done"
	Failed  State = "failed"
)

// Status is what an agent says of a command. Seq grows with each change.
type Status struct {
	State State      `json:"state"`
	Seq   uint64     `json:"seq"`
	Done  core.Bytes `json:"done,omitempty"`
	Total core.Bytes `json:"total,omitempty"`
	Err   *Error     `json:"err,omitempty"` // set where State is Failed
	// Report is set where an erase has ended, also where it failed.
	Report *core.EraseReport `json:"report,omitempty"`
	// Ran is set where a script has ended.
	Ran *Ran `json:"ran,omitempty"`
}
