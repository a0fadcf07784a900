package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/metalpool/metalpool/core"
)

// FaultKind is what goes wrong with a machine. What goes wrong with its BMC is a
// bmc.Fault.
type FaultKind string

const (
	PowerStuck   FaultKind = "power-stuck"
	MediaHang    FaultKind = "media-hang"
	DiskHang     FaultKind = "disk-hang"
	AgentSilent  FaultKind = "agent-silent"
	EraseSilent  FaultKind = "erase-silent"
	AgentTwice   FaultKind = "agent-twice"
	OldToken     FaultKind = "old-token"
	OtherMachine FaultKind = "other-machine"
	DiskMissing  FaultKind = "disk-missing"
	WriteError   FaultKind = "write-error"
	EraseError   FaultKind = "erase-error"
	EraseLie     FaultKind = "erase-lie"
	HostKey      FaultKind = "host-key"
	DHCPSilent   FaultKind = "dhcp-silent"
	DHCPMoves    FaultKind = "dhcp-moves"
)

// Meaning says what happens, for people. Its events are what Nth and Count count.
func (k FaultKind) Meaning() string { return meanings[k] }

var meanings = map[FaultKind]string{
	PowerStuck:   "a request for power is taken, and nothing happens",
	MediaHang:    "a boot from virtual media gets nowhere",
	DiskHang:     "a boot from the disk gets nowhere",
	AgentSilent:  "the agent is gone at a write to a disk; the power stays on",
	EraseSilent:  "the agent is gone when an erase begins",
	AgentTwice:   "another machine calls with a copy of the boot's token",
	OldToken:     "the agent was started with what an earlier boot was told",
	OtherMachine: "the agent finds another serial number and UUID",
	DiskMissing:  "the agent does not find the last disk",
	WriteError:   "a write to a disk fails",
	EraseError:   "an erase fails",
	EraseLie:     "an erase says that it was done, and was not",
	HostKey:      "SSH shows a host key that nobody gave it",
	DHCPSilent:   "nobody answers DHCP at a start (virtual machines)",
	DHCPMoves:    "DHCP gives another address at a start from the disk (virtual machines)",
}

// A VM runs what was not made for the lab, so what goes wrong with it is what goes
// wrong with hardware.
var (
	simulatedFaults = []FaultKind{PowerStuck, MediaHang, DiskHang, AgentSilent, EraseSilent, AgentTwice, OldToken, OtherMachine, DiskMissing, WriteError, EraseError, EraseLie, HostKey}
	vmFaults        = []FaultKind{PowerStuck, MediaHang, DiskHang, OtherMachine, DiskMissing, WriteError, DHCPSilent, DHCPMoves}
)

// FaultKinds lists them all. Not every machine can have each.
func FaultKinds() []FaultKind {
	all := slices.Clone(simulatedFaults)
	for _, k := range vmFaults {
		if !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	return all
}

func join(kinds []FaultKind) string {
	var names []string
	for _, k := range kinds {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// AnyNode names, where a node is asked for, whichever of the rack comes first.
const AnyNode core.NodeID = "any"

// Forever, as a Count, lets a fault hit until it is cleared.
const Forever = -1

// Fault says which of the events of its kind go wrong: requests, boots, writes or
// erases, counted from when it was added.
type Fault struct {
	ID    int       `json:"id,omitempty"` // given by Faults.Add
	Kind  FaultKind `json:"kind"`
	Nth   int       `json:"nth,omitempty"`   // the first that is hit, from 1; default 1
	Count int       `json:"count,omitempty"` // how many are hit from there on; default 1
	Hits  int       `json:"hits,omitempty"`  // so far; ignored by Add
}

// Faults are the faults of one machine. The zero value has none. It is safe for
// concurrent use.
type Faults struct {
	rack *Faults // of the whole rack: the first machine to come is hit

	mu   sync.Mutex
	last int
	list []*planted
}

type planted struct {
	Fault
	seen int
}

// Add plants a fault and returns its ID. The error says what is wrong with it.
func (fs *Faults) Add(f Fault) (int, error) {
	if f.Nth == 0 {
		f.Nth = 1
	}
	if f.Count == 0 {
		f.Count = 1
	}
	switch {
	case !slices.Contains(FaultKinds(), f.Kind):
		return 0, fmt.Errorf("add fault: kind %q: there is only %s", f.Kind, join(FaultKinds()))
	case f.Nth < 0 || f.Count < Forever:
		return 0, fmt.Errorf("add fault: nth %d, count %d: events are counted from 1; a count of %d means for ever", f.Nth, f.Count, Forever)
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.last++
	f.ID, f.Hits = fs.last, 0
	fs.list = append(fs.list, &planted{Fault: f})
	return f.ID, nil
}

// List returns the faults, also those that are spent, in the order of Add.
func (fs *Faults) List() []Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	list := make([]Fault, len(fs.list))
	for i, p := range fs.list {
		list[i] = p.Fault
	}
	return list
}

// Clear removes the faults with these IDs, or all if none is given. What hangs
// already goes on hanging, until the power is turned off.
func (fs *Faults) Clear(ids ...int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.list = slices.DeleteFunc(fs.list, func(p *planted) bool { return len(ids) == 0 || slices.Contains(ids, p.ID) })
}

// hit counts an event of a kind and reports whether it goes wrong.
func (fs *Faults) hit(kind FaultKind) bool {
	if fs.rack != nil && fs.rack.hit(kind) {
		return true
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	hit := false
	for _, p := range fs.list {
		if p.Kind != kind {
			continue
		}
		p.seen++
		if !hit && p.seen >= p.Nth && (p.Count == Forever || p.Hits < p.Count) {
			p.Hits++
			hit = true
		}
	}
	return hit
}

// pending is the first fault of a kind that is not spent, with what is left of it:
// for a machine that counts the events itself.
func (fs *Faults) pending(kind FaultKind) (left Fault, found bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, p := range fs.list {
		if p.Kind != kind || p.Count != Forever && p.Hits >= p.Count {
			continue
		}
		left = p.Fault
		if p.Hits > 0 {
			left.Nth = 1
		}
		if p.Count != Forever {
			left.Count -= p.Hits
		}
		return left, true
	}
	return Fault{}, false
}

// struck counts events that went wrong in a machine which counts them itself.
func (fs *Faults) struck(kind FaultKind, times int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, p := range fs.list {
		if p.Kind != kind || times == 0 {
			continue
		}
		hits := times
		if p.Count != Forever {
			hits = min(hits, p.Count-p.Hits)
		}
		p.Hits += hits
		times -= hits
	}
}

// otherMachine is an identity that is like no machine's in the rack.
func otherMachine(serial, uuid string) (otherSerial, otherUUID string) {
	return "X" + strings.TrimPrefix(serial, "L"), strings.Repeat("1", 8) + uuid[8:]
}

var errMedium = errors.New("medium error (a fault of the lab)")
