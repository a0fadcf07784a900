// Package inside is how a bench talks to its program inside a virtual machine: to the
// machine's first program and only one, see folder init. It starts the real agent,
// and does by itself, on the same disk and with the same processors, what a write is
// held against.
package inside

import (
	"time"

	"github.com/metalpool/metalpool/core"
)

// Port is where the program listens, with plain HTTP.
const Port = 7000

// The program's paths.
const (
	// AgentPath takes POST of boot parameters, as an area (package wire): the agent is
	// started with them, as a process of its own.
	AgentPath = "/agent"
	// PeakPath takes GET, and answers with the most memory that the agent ever took, in
	// bytes, as text.
	PeakPath = "/peak"
	// AlonePath takes POST of an Order, and answers with what it Took.
	AlonePath = "/alone"
	// ChunkPath and a number takes GET, and answers with a chunk of the last Order's
	// Sample, packed: the first for 0, and so on, over and over. So the agent has a
	// source without a network, which costs an emulated processor more than all else.
	ChunkPath = "/chunk/"
)

// Order asks for the parts of a write of an image, each alone.
type Order struct {
	Disk     string        `json:"disk"`   // its path, such as /dev/vda; it is overwritten
	Source   string        `json:"source"` // URL that the numbers of chunks are added to
	Manifest core.Manifest `json:"manifest"`
	// Sample is the chunks that stand for all of them: memory is too small for more.
	Sample []int `json:"sample"`
}

// Took is how long the parts took, for as many bytes as the image has.
type Took struct {
	Write  time.Duration `json:"write"`  // as dd with 4 MiB blocks, direct I/O and a flush at the end
	Unpack time.Duration `json:"unpack"` // decompressed and checked, by all processors
	Fetch  time.Duration `json:"fetch"`  // all chunks, packed, over as many connections as the agent has
}
