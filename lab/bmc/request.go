package bmc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Verb is what a request asks of the machine or the BMC, whatever its path is
// with this vendor.
type Verb string

const (
	AnyVerb   Verb = "any" // in a Fault: every request
	Root      Verb = "root"
	Login     Verb = "login"
	PowerRead Verb = "power-read" // GET of the system
	Reset     Verb = "reset"
	SetBoot   Verb = "boot"
	AssetTag  Verb = "asset-tag"
	MediaRead Verb = "media-read" // GET of a slot
	Insert    Verb = "insert"
	Eject     Verb = "eject"
	Read      Verb = "read"  // any other GET
	Other     Verb = "other" // anything else

	SetBIOS       Verb = "bios" // a change of attributes, or a job for one
	SetOrder      Verb = "boot-order"
	SetSecureBoot Verb = "secure-boot"
	SetVolumes    Verb = "volumes"   // makes or deletes one
	TaskRead      Verb = "task-read" // GET of a task
)

// Verbs lists the verbs that a fault can name.
func Verbs() []Verb {
	return []Verb{AnyVerb, Root, Login, PowerRead, Reset, SetBoot, AssetTag, MediaRead, Insert, Eject, SetBIOS, SetOrder, SetSecureBoot, SetVolumes, TaskRead, Read, Other}
}

// request is a request on its way through the BMC.
type request struct {
	*http.Request
	body      []byte
	oversize  bool
	object    map[string]any // the body; empty where there is none
	malformed bool           // the body is there and not a JSON object
	ids       []string       // the wildcards of the route
	fault     *active        // nil without one
}

func (r *request) parse() {
	r.object = map[string]any{}
	if len(bytes.TrimSpace(r.body)) == 0 {
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(r.body))
	err := decoder.Decode(&r.object)
	r.malformed = err != nil || r.object == nil || decoder.More()
}

// verb names what the request asks, for faults and counts.
func (r *request) verb(res resource) Verb {
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		if res.reads != "" {
			return res.reads
		}
		return Read
	case res.writes != nil:
		return res.writes(r)
	}
	return Other
}

// is returns a resource.writes that is always the same verb.
func is(v Verb) func(*request) Verb { return func(*request) Verb { return v } }

// param says what a property or parameter of a request may be.
type param struct {
	name   string
	kind   kind
	values []string // of a text; empty means any
	needed bool
}

type kind int

const (
	text       kind = iota
	textOrNull      // null is there as nil
	boolean
	texts
	object
	number
)

func (k kind) fits(v any) bool {
	switch x := v.(type) {
	case nil:
		return k == textOrNull
	case string:
		return k == text || k == textOrNull
	case bool:
		return k == boolean
	case float64:
		return k == number
	case map[string]any:
		return k == object
	case []any:
		return k == texts && !slices.ContainsFunc(x, func(e any) bool { _, ok := e.(string); return !ok })
	}
	return false
}

// check compares the members of a request with what is allowed, and returns
// what is wrong first, or nil. Names are prefixed in messages; unknown and
// missing make the messages for these two cases.
func check(got map[string]any, allowed []param, prefix string, unknown, missing func(string) Message) *Message {
	for _, name := range sortedKeys(got) {
		if strings.Contains(name, "@") { // annotations are for others
			continue
		}
		i := slices.IndexFunc(allowed, func(p param) bool { return p.name == name })
		if i < 0 {
			m := unknown(prefix + name)
			return &m
		}
		p, v := allowed[i], got[name]
		if !p.kind.fits(v) {
			m := propertyType(prefix+name, fmt.Sprintf("%v", v))
			return &m
		}
		if s, ok := v.(string); ok && len(p.values) > 0 && !slices.Contains(p.values, s) {
			m := propertyNotInList(prefix+name, s)
			return &m
		}
	}
	for _, p := range allowed {
		if _, ok := got[p.name]; p.needed && !ok {
			m := missing(prefix + p.name)
			return &m
		}
	}
	return nil
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// stringOf is the text under name, or "".
func stringOf(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return s
}
