package core

import (
	"context"
	"time"
)

// PowerState is what a BMC says of its server's power.
type PowerState string

const (
	PowerOn      PowerState = "On"
	PowerOff     PowerState = "Off"
	PowerChanges PowerState = "Changing" // powering on or off
	PowerUnknown PowerState = "Unknown"
)

// PowerVerb is what can be asked of a server's power.
type PowerVerb string

const (
	TurnOn       PowerVerb = "on"
	TurnOff      PowerVerb = "off"      // at once
	ShutDown     PowerVerb = "shutdown" // asks the OS; falls back to off when it does not listen
	PowerRestart PowerVerb = "restart"  // off and on again
)

// Connector opens conversations with BMCs. It is the built-in backend's face
// towards the engine.
type Connector interface {
	// Connect makes no request yet where e.Links are known. fence is called before
	// every request that changes something; when it refuses, nothing is sent. One
	// BMC serves one job at a time: Connect waits for its turn.
	Connect(ctx context.Context, e Endpoint, password string, fence Fence) (BMC, error)
	// Fingerprint is the SHA-256 of the certificate that answers at url, for trust on
	// enrolment.
	Fingerprint(ctx context.Context, url string) (string, error)
}

// Fence re-reads the lease. It returns the moment by which the call must have
// ended, or a LeaseLost error. A nil Fence allows everything (enrolment, reads).
type Fence func(ctx context.Context) (until time.Time, err error)

// BMC is a conversation with one node's controller. Every verb converges when
// called again, and returns only when the state read back is the one asked for.
//
// Errors: Transient, where no contact or a passing refusal; Denied, wrong
// password or certificate; Backend, an answer of the BMC itself that refuses.
type BMC interface {
	Inspect(ctx context.Context) (Inspection, error)
	Power(ctx context.Context) (PowerState, error)
	SetPower(ctx context.Context, verb PowerVerb) error
	// InsertMedia makes url the server's virtual CD; what was there is ejected first.
	InsertMedia(ctx context.Context, url string) error
	EjectMedia(ctx context.Context) error
	// BootMediaOnce makes the next start, and only that, use the virtual CD.
	BootMediaOnce(ctx context.Context) error
	ClearBoot(ctx context.Context) error
	// SetTag writes the asset tag. ErrTagUnsupported where the BMC has none.
	SetTag(ctx context.Context, tag string) error
	// Links returns the addresses to keep for the next conversation.
	Links() map[string]string
	// Close gives the BMC to the next job and drops sessions and idle connections.
	Close() error
}

// Inspection is what a BMC tells about its server.
type Inspection struct {
	Identity Identity   `json:"identity"`
	Hardware Hardware   `json:"hardware"`
	Tag      string     `json:"tag,omitempty"`
	Power    PowerState `json:"power"`
}

// ErrTagUnsupported is SetTag's answer where the BMC does not let us write a tag.
var ErrTagUnsupported = &Error{Op: "set asset tag", Kind: Backend, Hint: "this BMC has no writable asset tag; the server is told by its identity alone"}
