package bmc

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is what a fault does to a request.
type Kind string

const (
	Fail         Kind = "fail"
	Cut          Kind = "cut"
	Hang         Kind = "hang"
	Garbage      Kind = "garbage"
	HTML         Kind = "html"
	Unauthorized Kind = "unauthorized"
	Refuse       Kind = "refuse"
	Ignore       Kind = "ignore"
	Lie          Kind = "lie"
	Late         Kind = "late"
	Drop         Kind = "drop"
	Forget       Kind = "forget"
	TaskFails    Kind = "task-fails"
	TaskHangs    Kind = "task-hangs"
)

// Meaning says what happens to the request, for people.
func (k Kind) Meaning() string { return meanings[k] }

var meanings = map[Kind]string{
	Fail:         "an HTTP error is answered, by default 500",
	Cut:          "the connection is closed without an answer",
	Hang:         "the request is held for the delay, or until the fault is cleared",
	Garbage:      "broken JSON is answered",
	HTML:         "a web page is answered, as what is no Redfish does",
	Unauthorized: "the answer is as to a wrong password",
	Refuse:       "the answer is as to an image that cannot be fetched (needs on insert)",
	Ignore:       "success is answered, and nothing is done (needs on a request that changes something)",
	Lie:          "another power state is told than there is (needs on power-read)",
	Late:         "success is answered, but the media is there only after the delay (needs on insert)",
	Drop:         "a change of settings is taken, waits, and is not made (needs on bios, boot-order, secure-boot or volumes)",
	Forget:       "the BMC forgets all settings that wait for a start (needs on reset)",
	TaskFails:    "the task that is made of the request fails (needs on bios or volumes)",
	TaskHangs:    "the task that is made of the request never ends (needs on bios or volumes)",
}

// Kinds lists what faults can do.
func Kinds() []Kind {
	return []Kind{Fail, Cut, Hang, Garbage, HTML, Unauthorized, Refuse, Ignore, Lie, Late, Drop, Forget, TaskFails, TaskHangs}
}

// Forever, as a Count, lets a fault hit until it is cleared.
const Forever = -1

// Fault says which requests fail, and how. Its zero fields match everything.
type Fault struct {
	ID     int    `json:"id,omitempty"`     // given by Faults.Add
	On     Verb   `json:"on,omitempty"`     // default any
	Method string `json:"method,omitempty"` // GET, POST, …
	Path   string `json:"path,omitempty"`   // exact, or a prefix that ends with *

	Nth   int `json:"nth,omitempty"`   // the first matching request that is hit, from 1; default 1
	Count int `json:"count,omitempty"` // how many matching requests are hit from there on; default 1

	Kind   Kind       `json:"kind"`
	After  bool       `json:"after,omitempty"`  // the request has its effect first
	Status int        `json:"status,omitempty"` // of Fail
	Power  PowerState `json:"power,omitempty"`  // of Lie
	Delay  Duration   `json:"delay,omitempty"`  // of Hang and Late

	Hits int `json:"hits,omitempty"` // requests that were hit so far; ignored by Add
}

// Duration is a time.Duration that JSON spells "1m30s".
type Duration time.Duration

// MarshalText spells the duration as time.Duration.String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration takes.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// check says what is wrong with a fault, in the words of its JSON form.
func (f Fault) check() error {
	alters := slices.Contains([]Kind{Ignore, Lie, Late, Refuse, Drop, Forget, TaskFails, TaskHangs}, f.Kind)
	switch {
	case !slices.Contains(Kinds(), f.Kind):
		return fmt.Errorf("kind %q: there is only %s", f.Kind, list(Kinds()))
	case f.On != "" && !slices.Contains(Verbs(), f.On):
		return fmt.Errorf("on %q: there is only %s", f.On, list(Verbs()))
	case f.Nth < 0 || f.Count < Forever:
		return fmt.Errorf("nth %d, count %d: requests are counted from 1; a count of %d means for ever", f.Nth, f.Count, Forever)
	case f.Status != 0 && (f.Kind != Fail || f.Status < 400 || f.Status > 599):
		return fmt.Errorf("status %d: kind %q takes one, from 400 to 599", f.Status, Fail)
	case f.Delay < 0 || f.Delay != 0 && f.Kind != Hang && f.Kind != Late:
		return fmt.Errorf("delay %s: only kinds %q and %q take one, and it is positive", time.Duration(f.Delay), Hang, Late)
	case f.Kind == Late && f.Delay == 0:
		return fmt.Errorf("kind %q needs a delay", Late)
	case f.Power != "" && f.Kind != Lie:
		return fmt.Errorf("power %q: only kind %q takes one", f.Power, Lie)
	case f.Power != "" && !slices.Contains([]PowerState{On, Off, PoweringOn, PoweringOff}, f.Power):
		return fmt.Errorf("power %q: there is only On, Off, PoweringOn and PoweringOff", f.Power)
	case f.After && alters:
		return fmt.Errorf("kind %q changes the effect itself and cannot come after it", f.Kind)
	case (f.Kind == Late || f.Kind == Refuse) && f.On != Insert:
		return fmt.Errorf("kind %q needs on %q", f.Kind, Insert)
	case f.Kind == Lie && f.On != PowerRead:
		return fmt.Errorf("kind %q needs on %q", f.Kind, PowerRead)
	case f.Kind == Forget && f.On != Reset:
		return fmt.Errorf("kind %q needs on %q", f.Kind, Reset)
	}
	if verbs := affects[f.Kind]; len(verbs) > 0 && !slices.Contains(verbs, f.On) {
		return fmt.Errorf("kind %q needs on one of %s", f.Kind, list(verbs))
	}
	return nil
}

// affects are the requests that a kind of fault can be on, where not any.
var affects = map[Kind][]Verb{
	Ignore:    {Reset, Insert, Eject, SetBoot, AssetTag, SetBIOS, SetOrder, SetSecureBoot, SetVolumes},
	Drop:      {SetBIOS, SetOrder, SetSecureBoot, SetVolumes},
	TaskFails: {SetBIOS, SetVolumes},
	TaskHangs: {SetBIOS, SetVolumes},
}

func list[T ~string](values []T) string {
	s := make([]string, len(values))
	for i, v := range values {
		s[i] = string(v)
	}
	return strings.Join(s, ", ")
}

func (f Fault) matches(v Verb, method, path string) bool {
	if f.On != "" && f.On != AnyVerb && f.On != v || f.Method != "" && f.Method != method {
		return false
	}
	if prefix, ok := strings.CutSuffix(f.Path, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return f.Path == "" || f.Path == path
}

// Faults are the faults of one BMC. Its zero value has none. It is safe for
// concurrent use.
type Faults struct {
	mu      sync.Mutex
	lastID  int
	entries []*entry
}

type entry struct {
	Fault
	seen    int // matching requests so far
	cleared chan struct{}
}

// active is a fault that hits a request.
type active struct {
	Fault
	cleared <-chan struct{}
}

// Add plants a fault, which counts requests from now on, and returns its ID.
// The error says what is wrong with the fault.
func (fs *Faults) Add(f Fault) (id int, err error) {
	f.Method = strings.ToUpper(f.Method)
	if f.Nth == 0 {
		f.Nth = 1
	}
	if f.Count == 0 {
		f.Count = 1
	}
	if f.Kind == Fail && f.Status == 0 {
		f.Status = http.StatusInternalServerError
	}
	if f.On == "" {
		f.On = AnyVerb
	}
	if err := f.check(); err != nil {
		return 0, fmt.Errorf("add fault: %w", err)
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.lastID++
	f.ID, f.Hits = fs.lastID, 0
	fs.entries = append(fs.entries, &entry{Fault: f, cleared: make(chan struct{})})
	return f.ID, nil
}

// List returns the faults, also those that are spent, in the order of Add.
func (fs *Faults) List() []Fault {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	faults := make([]Fault, len(fs.entries))
	for i, e := range fs.entries {
		faults[i] = e.Fault
	}
	return faults
}

// Clear removes the faults with these IDs, or all if none is given, and lets
// the requests go on that they hold. Unknown IDs are passed over.
func (fs *Faults) Clear(ids ...int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.entries = slices.DeleteFunc(fs.entries, func(e *entry) bool {
		gone := len(ids) == 0 || slices.Contains(ids, e.ID)
		if gone {
			close(e.cleared)
		}
		return gone
	})
}

// take counts a request, and returns the first fault that hits it, if any.
func (fs *Faults) take(v Verb, method, path string) *active {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	var hit *active
	for _, e := range fs.entries {
		if !e.matches(v, method, path) {
			continue
		}
		e.seen++
		if hit != nil || e.seen < e.Nth || e.Count != Forever && e.Hits >= e.Count {
			continue
		}
		e.Hits++
		hit = &active{Fault: e.Fault, cleared: e.cleared}
	}
	return hit
}

// planned are the faults that a plan takes from.
type planned struct {
	on    Verb
	kinds []Kind
}

// Of deploys and releases, and of settings. A task that hangs does so for ever: that is in
// no plan.
var (
	ofDeploys = []planned{
		{PowerRead, []Kind{Fail, Cut, Hang, Garbage, Lie}},
		{Reset, []Kind{Fail, Cut, Hang, Ignore}},
		{SetBoot, []Kind{Fail, Cut, Hang, Ignore}},
		{MediaRead, []Kind{Fail, Cut, Hang, Garbage}},
		{Insert, []Kind{Fail, Cut, Hang, Refuse, Ignore, Late}},
		{Eject, []Kind{Fail, Cut, Hang, Ignore}},
	}
	ofSettings = []planned{
		{SetBIOS, []Kind{Fail, Cut, Hang, Ignore, Drop, TaskFails}},
		{SetOrder, []Kind{Fail, Cut, Hang, Ignore, Drop}},
		{SetSecureBoot, []Kind{Fail, Cut, Hang, Ignore, Drop}},
		{SetVolumes, []Kind{Fail, Cut, Hang, Ignore, Drop, TaskFails}},
		{Reset, []Kind{Forget}},
	}
)

// Plan makes n faults from a seed: the same seed gives the same faults. Each
// hits one of the first requests of its verb, and none hangs for longer than
// patience, so that a client with patience and retries gets through. With settings there
// are those of changes of settings, too, which a client that changes none never meets.
func Plan(seed uint64, n int, patience time.Duration, settings bool) []Fault {
	from := slices.Clone(ofDeploys)
	if settings {
		from = append(from, ofSettings...)
	}
	random := rand.New(rand.NewPCG(seed, 0x6d65746c))
	faults := make([]Fault, n)
	for i := range faults {
		p := from[random.IntN(len(from))]
		f := Fault{On: p.on, Nth: 1 + random.IntN(4), Kind: p.kinds[random.IntN(len(p.kinds))]}
		switch f.Kind {
		case Fail:
			f.Status = []int{500, 502, 503}[random.IntN(3)]
			f.After = random.IntN(2) == 0
		case Cut:
			f.After = random.IntN(2) == 0
		case Hang, Late:
			f.Delay = Duration(max(1, random.Int64N(int64(max(patience, 2)))))
		}
		faults[i] = f
	}
	return faults
}
