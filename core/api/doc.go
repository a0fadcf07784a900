// Package api is what the client of a `metalpool serve` and the server say to each
// other over HTTPS: paths, bodies, errors and progress. It holds no logic.
//
// A read is answered at once. A write carries an ID of the caller's own making
// (HeaderRequest; an allocation's ID besides), so that it may be sent again whenever
// its answer was lost. The server does a write in the background, whoever listens: the
// answer is Written with the result, or, once what was asked is committed but not done,
// Written without one. The rest is told by the events at ProgressPath, which a client
// follows until End. After a cut it sends the write again, perhaps to another server of
// the same pool, and follows again.
package api

import (
	"net/url"
	"strconv"
	"time"

	"github.com/metalpool/metalpool/core"
)

// Level is the version of the API that this program speaks; LeastLevel the oldest that
// a server still takes from a client. Level grows with everything that a client may
// send which an older server would not know.
const (
	Level      = 1
	LeastLevel = 1
)

const (
	// HeaderLevel carries the sender's Level, both ways.
	HeaderLevel = "Metalpool-Api"
	// HeaderRequest carries the ID of a write: 1 to 64 of [A-Za-z0-9._-].
	HeaderRequest = "Metalpool-Request"
	// HeaderLastEvent carries the ID of the last event that a client has seen.
	HeaderLastEvent = "Last-Event-ID"
)

// Prefix begins every path of the API.
const Prefix = "/v1"

// The names of events at ProgressPath.
const (
	EventProgress = "progress" // Progress
	EventEnd      = "end"      // End
	EventHandover = "handover" // Handover
	EventAlive    = "alive"    // Alive
)

// Limits that both sides keep.
const (
	// MaxBody bounds a body that may hold user data, of which a deploy takes 1 MiB, as
	// base64; MaxSmallBody any other.
	MaxBody      = 4 << 20
	MaxSmallBody = 256 << 10
	// EventsAlive is how long a stream of events stays silent at most.
	EventsAlive = 10 * time.Second
)

// ProgressPath is where the events of a write are.
func ProgressPath(request string) string {
	return Prefix + "/requests/" + url.PathEscape(request) + "/progress"
}

// Written answers a write.
type Written[T any] struct {
	Done   bool   `json:"done" doc:"Whether it is done; else follow the progress."`
	Result *T     `json:"result,omitempty"`
	Follow string `json:"progress,omitempty" doc:"Path of the events that tell the rest."`
}

// Nothing is the result of a write that has none.
type Nothing struct{}

// Progress is a moment of work under way.
type Progress struct {
	Node    core.NodeID `json:"node,omitempty"`
	Step    string      `json:"step,omitempty"`
	Message string      `json:"message,omitempty"`
	Done    core.Bytes  `json:"done,omitempty" doc:"Bytes."`
	Total   core.Bytes  `json:"total,omitempty" doc:"Bytes; 0 where it is not known."`
}

// End is the last event of a write: its result, or why it failed.
type End struct {
	Result  any      `json:"result,omitempty"`
	Problem *Problem `json:"problem,omitempty"`
}

// Handover says that this server stops, and that the same write goes on when it is
// sent again.
type Handover struct {
	Message string `json:"message"`
}

// Alive says nothing but that the stream is not cut.
type Alive struct{}

// Caller is who a token stands for.
type Caller struct {
	Name  string    `json:"name" doc:"The owner of what is taken with it."`
	Role  core.Role `json:"role" doc:"viewer, user or operator."`
	Pools []string  `json:"pools,omitempty" doc:"The only pools it is for; none means all."`
}

// Duration reads and writes a length of time as people do: 90s, 30m, 2h.
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	read, err := time.ParseDuration(string(text))
	*d = Duration(read)
	return err
}

// EventID makes the IDs of a stream's events. They begin with the time, so that one
// which another server gave before is below all that this one gives.
func EventID(began time.Time, n int) int64 { return began.UnixMicro() + int64(n) }

// ParseEventID reads one; 0 is before all.
func ParseEventID(text string) int64 {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return id
}
