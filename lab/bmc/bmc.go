package bmc

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config is what a BMC is made of. Machine, User and Password are required.
type Config struct {
	Machine  Machine
	Manners  *Manners // nil: OpenBMC's; not changed, may be shared
	User     string
	Password string

	// State is what New starts with, and Save is told each change of it, in
	// order, so that the BMC keeps its memory between runs. Save may be nil; it
	// does not call the BMC.
	State State
	Save  func(State)

	// MediaChanged is called after media was inserted or ejected, for a machine
	// that shows them to its system at once; see BMC.Disc. It may be nil; it
	// returns at once, and may call the BMC.
	MediaChanged func()

	// POST is how long after a start some vendors refuse changes; 0 means 2s.
	POST time.Duration
	// FetchTimeout bounds each request for virtual media; 0 means 30s.
	FetchTimeout time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Record is how many requests Traffic.Recent remembers.
	Record int
}

// State is what a BMC remembers without power. Its zero value is a BMC fresh
// from the factory. Inserted media and sessions are not part of it.
type State struct {
	AssetTag  string   `json:"asset_tag,omitempty"`
	Boot      Override `json:"boot"`
	BootOrder []string `json:"boot_order,omitempty"` // BootOption references; empty means disk, CD, network

	// NVRAMChanges counts changes of the boot order since the last start.
	NVRAMChanges int `json:"nvram_changes,omitempty"`

	Setup Setup `json:"setup"`
}

// BMC is one simulated controller. It is safe for concurrent use.
type BMC struct {
	config  Config
	manners *Manners
	faults  Faults
	traffic meter

	power sync.Mutex // one decision about power at a time; held during Machine's power calls

	mu         sync.Mutex // guards what follows; never held during calls to others
	state      State
	slots      []*slot
	sessions   []Session
	nextID     int
	postUntil  time.Time
	onRefusals int  // how many requests for On are still refused after an Off
	frozen     bool // hangs with its power on
	sshPort    int  // where the serial console is served; 0: nowhere

	saving sync.Mutex // Save's calls come one by one, in order of the changes
}

// New makes a BMC. It is served by Serve, or by any server as a handler.
func New(c Config) (*BMC, error) {
	if c.Machine == nil {
		return nil, errors.New("new BMC: Config.Machine is nil; give the machine that it controls")
	}
	if c.User == "" || c.Password == "" {
		return nil, errors.New("new BMC: Config.User and Config.Password must not be empty")
	}
	if c.Manners == nil {
		c.Manners = &openBMC
	}
	if c.POST == 0 {
		c.POST = 2 * time.Second
	}
	if c.FetchTimeout == 0 {
		c.FetchTimeout = 30 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	b := &BMC{config: c, manners: c.Manners, state: c.State}
	b.traffic.record = c.Record
	b.state = b.copyState() // not the caller's
	if b.state.Boot == (Override{}) {
		b.state.Boot = noOverride
	}
	for i := range b.manners.Slots {
		b.slots = append(b.slots, &slot{Slot: &b.manners.Slots[i]})
	}
	return b, nil
}

// Faults are the faults of this BMC.
func (b *BMC) Faults() *Faults { return &b.faults }

// Manners are the manners that it was made with. The caller does not change them.
func (b *BMC) Manners() *Manners { return b.manners }

// State returns what would be kept without power.
func (b *BMC) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.copyState()
}

// copyState is State for callers that hold mu.
func (b *BMC) copyState() State {
	s := b.state
	s.BootOrder = slices.Clone(s.BootOrder)
	s.Setup = s.Setup.clone()
	return s
}

// update changes the state under the lock, then saves it.
func (b *BMC) update(change func(*State)) {
	b.saving.Lock()
	defer b.saving.Unlock()
	b.mu.Lock()
	before := b.copyState()
	change(&b.state)
	s := b.copyState()
	b.mu.Unlock()
	if b.config.Save != nil && !reflect.DeepEqual(s, before) {
		b.config.Save(s)
	}
}

// maxBody is more than any Redfish request needs.
const maxBody = 64 << 10

// ServeHTTP answers one request: it finds the resource and what is asked of it,
// lets a fault have its way, checks the credentials, and acts.
func (b *BMC) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	// All of the body, so that the server notices a client that goes away
	// while a fault holds its request.
	body, err := io.ReadAll(http.MaxBytesReader(w, hr.Body, maxBody))
	r := &request{Request: hr, body: body, oversize: err != nil}
	r.parse()
	res, found := b.find(r)
	verb := r.verb(res)

	write := hr.Method != http.MethodGet && hr.Method != http.MethodHead
	exchange := Exchange{Method: hr.Method, Path: hr.URL.Path, Verb: verb}
	b.traffic.begin(write)
	defer func() { b.traffic.end(write, exchange) }()

	r.fault = b.faults.take(verb, hr.Method, hr.URL.Path)
	a := b.withFault(r, func() answer { return b.serve(r, res, found) })
	if a.cut {
		panic(http.ErrAbortHandler)
	}
	exchange.Status = a.status
	a.write(w)
}

// serve is the answer without faults.
func (b *BMC) serve(r *request, res resource, found bool) answer {
	if !b.authenticated(r) && !res.public(r.Method) {
		return b.refuse(BadCredentials)
	}
	if !found {
		return b.fail(notFound(r.URL.Path))
	}
	if v := r.Header.Get("OData-Version"); v != "" && v != "4.0" {
		return b.fail(preconditionFailed())
	}
	for parameter := range r.URL.Query() {
		if strings.HasPrefix(parameter, "$") && (parameter != "$expand" || !res.expands) {
			return b.fail(queryUnsupported(parameter))
		}
	}
	if r.oversize || r.malformed {
		return b.fail(malformed())
	}
	allow := res.allow()
	act := res.method(r.Method)
	if act == nil {
		return b.fail(notAllowed(r.Method, r.URL.Path)).with("Allow", allow)
	}
	if m := b.precondition(r, res); m != nil {
		return b.fail(*m)
	}
	return act(r).with("Allow", allow)
}

// precondition checks If-Match: on a PATCH, against the resource as it is.
func (b *BMC) precondition(r *request, res resource) *Message {
	match := r.Header.Get("If-Match")
	m := preconditionFailed()
	switch {
	case r.Method == http.MethodPost && match != "" && b.manners.NoIfMatchOnActions:
		return &m
	case r.Method != http.MethodPatch || res.get == nil:
		return nil
	case match == "":
		if res.etagRequired {
			m = preconditionRequired()
			return &m
		}
		return nil
	case match != "*" && match != res.get(r).tag():
		return &m
	}
	return nil
}
