package lab

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/bmc"
	"github.com/metalpool/metalpool/lab/qemu"
)

// controlName is the file in the lab's folder that tells where its control API is. It
// is there while the lab runs, readable by its owner alone.
const controlName = "control.json"

// doorway is what controlName holds.
type doorway struct {
	URL   string `json:"url"`
	Token string `json:"token"` // a secret: whoever has it can break the rack
}

// NewFault is a fault to be added: one of both.
type NewFault struct {
	BMC     *bmc.Fault `json:"bmc,omitempty"`
	Machine *Fault     `json:"machine,omitempty"`
}

// PlanOrder asks for faults that follow from a seed: the same seed on the same rack
// gives the same ones.
type PlanOrder struct {
	Seed  uint64 `json:"seed"`
	Count int    `json:"count"`
	// Patience bounds how long a BMC hangs.
	Patience bmc.Duration `json:"patience"`
	// Settings plans also what goes wrong with changes of settings.
	Settings bool `json:"settings,omitempty"`
}

// Planned is a fault of a plan and where it is.
type Planned struct {
	Node core.NodeID `json:"node"`
	NewFault
}

// control is the lab's API over HTTP on loopback.
type control struct {
	listener net.Listener
	dir      string
	token    string
	http     *http.Server
	done     chan struct{}
}

func newControl(l net.Listener, dir string) *control {
	return &control{listener: l, dir: dir, token: randomHex(16)}
}

// serve starts to answer and writes down where.
func (c *control) serve(l *Lab) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/nodes", func(w http.ResponseWriter, r *http.Request) { answer(w, l.Status(), nil) })
	mux.HandleFunc("POST /v1/nodes/{id}/unplug", onNode(l, func(n *Node, _ *http.Request) (any, error) { return nil, n.Unplug() }))
	mux.HandleFunc("POST /v1/nodes/{id}/plug", onNode(l, func(n *Node, _ *http.Request) (any, error) { return nil, n.Plug() }))
	mux.HandleFunc("POST /v1/nodes/{id}/network/unplug", onNode(l, func(n *Node, _ *http.Request) (any, error) { return nil, n.UnplugNetwork() }))
	mux.HandleFunc("POST /v1/nodes/{id}/network/plug", onNode(l, func(n *Node, _ *http.Request) (any, error) { return nil, n.PlugNetwork() }))
	mux.HandleFunc("POST /v1/nodes/{id}/faults", onNode(l, addFault))
	mux.HandleFunc("POST /v1/nodes/any/faults", func(w http.ResponseWriter, r *http.Request) {
		var f NewFault
		err := read(r, &f)
		if err == nil {
			err = l.AddFault(f)
		}
		answer(w, nil, err)
	})
	mux.HandleFunc("DELETE /v1/nodes/any/faults", func(w http.ResponseWriter, r *http.Request) {
		l.faults.Clear()
		answer(w, nil, nil)
	})
	mux.HandleFunc("DELETE /v1/nodes/{id}/faults", onNode(l, func(n *Node, _ *http.Request) (any, error) { n.ClearFaults(); return nil, nil }))
	mux.HandleFunc("POST /v1/plan", func(w http.ResponseWriter, r *http.Request) {
		var o PlanOrder
		if err := read(r, &o); err != nil {
			answer(w, nil, err)
			return
		}
		planned, err := l.Plan(o)
		answer(w, planned, err)
	})
	mux.HandleFunc("DELETE /v1/traffic", func(w http.ResponseWriter, r *http.Request) {
		for _, n := range l.nodes {
			n.BMC().ResetTraffic()
		}
		answer(w, nil, nil)
	})
	c.http = &http.Server{Handler: c.guarded(mux), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	c.done = make(chan struct{})
	go func() {
		defer close(c.done)
		_ = c.http.Serve(c.listener) // ends by close alone
	}()
	text, err := json.Marshal(doorway{URL: "http://" + c.listener.Addr().String(), Token: c.token})
	if err == nil {
		err = replaceFile(filepath.Join(c.dir, controlName), text)
	}
	if err != nil {
		l.config.Log.Error("nobody will find the control API", "err", err)
	}
}

func (c *control) close() error {
	if c.http == nil {
		return c.listener.Close()
	}
	err := os.Remove(filepath.Join(c.dir, controlName))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	err = errors.Join(err, c.http.Close())
	<-c.done
	return err
}

// guarded lets in who has read the token in the lab's folder.
func (c *control) guarded(next http.Handler) http.Handler {
	want := []byte("Bearer " + c.token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			http.Error(w, "the token is in "+controlName+" in the lab's folder", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// maxOrder bounds a request's body, in bytes.
const maxOrder = 64 << 10

func read(r *http.Request, into any) error {
	d := json.NewDecoder(io.LimitReader(r.Body, maxOrder))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return &core.Error{Op: "read the request", Kind: core.Invalid, Err: err}
	}
	return nil
}

// answer sends a result, or an error as a core.Error's text and kind.
func answer(w http.ResponseWriter, result any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		status := http.StatusInternalServerError
		switch core.KindOf(err) {
		case core.NotFound:
			status = http.StatusNotFound
		case core.Invalid:
			status = http.StatusBadRequest
		}
		w.WriteHeader(status)
		result = refusal{Error: err.Error()}
	}
	_ = json.NewEncoder(w).Encode(result) // a client that is gone needs no answer
}

type refusal struct {
	Error string `json:"error"`
}

func onNode(l *Lab, do func(n *Node, r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, err := l.Node(core.NodeID(r.PathValue("id")))
		if err != nil {
			answer(w, nil, err)
			return
		}
		result, err := do(n, r)
		answer(w, result, err)
	}
}

func addFault(n *Node, r *http.Request) (any, error) {
	var f NewFault
	if err := read(r, &f); err != nil {
		return nil, err
	}
	return nil, n.AddFault(f)
}

// AddFault plants a fault in the machine or in its BMC.
func (n *Node) AddFault(f NewFault) error {
	var err error
	switch {
	case (f.BMC == nil) == (f.Machine == nil):
		err = errors.New("a fault is one of the BMC or one of the machine")
	case f.BMC != nil:
		_, err = n.BMC().Faults().Add(*f.BMC)
	default:
		err = possible(*f.Machine, n.machine.faultKinds())
		if err == nil && n.Virtual() && f.Machine.Kind == WriteError {
			err = qemu.CheckFaults(f.Machine.Nth, f.Machine.Count)
		}
		if err == nil {
			_, err = n.faults.Add(*f.Machine)
		}
	}
	if err != nil {
		return &core.Error{Op: "add fault", Node: n.ID(), Kind: core.Invalid, Err: err}
	}
	n.machine.changed()
	return nil
}

// possible refuses a fault that is of another sort of machine.
func possible(f Fault, kinds []FaultKind) error {
	if !slices.Contains(FaultKinds(), f.Kind) || slices.Contains(kinds, f.Kind) {
		return nil // Add says what there is
	}
	if slices.Contains(vmFaults, f.Kind) {
		return fmt.Errorf("%s is a fault of virtual machines, and this node is simulated", f.Kind)
	}
	return fmt.Errorf("%s is a fault of simulated nodes, and this one is a virtual machine, which can have: %s", f.Kind, join(kinds))
}

// AddFault plants a fault in whichever machine comes first.
func (l *Lab) AddFault(f NewFault) error {
	err := errors.New("only a fault of a machine can be anybody's; name the node whose BMC is to have it")
	if f.Machine != nil && f.BMC == nil {
		kinds := l.nodes[0].machine.faultKinds()
		if l.qemu != nil { // QEMU counts writes, for one machine at a time
			kinds = slices.DeleteFunc(kinds, func(k FaultKind) bool { return k == WriteError })
		}
		if err = possible(*f.Machine, kinds); err == nil {
			_, err = l.faults.Add(*f.Machine)
		}
	}
	if err != nil {
		return &core.Error{Op: "add fault", Node: AnyNode, Kind: core.Invalid, Err: err}
	}
	return nil
}

// ClearFaults removes all faults of the node.
func (n *Node) ClearFaults() {
	n.BMC().Faults().Clear()
	n.faults.Clear()
	n.machine.changed()
}

// Plan adds faults that follow from a seed, some in BMCs and some in machines.
func (l *Lab) Plan(o PlanOrder) ([]Planned, error) {
	if o.Count < 1 || o.Count > 10_000 {
		return nil, &core.Error{Op: "plan faults", Kind: core.Invalid, Err: fmt.Errorf("a count of %d; from 1 to 10000 are possible", o.Count)}
	}
	random := rand.New(rand.NewPCG(o.Seed, 0x6c6162))
	ofBMCs := bmc.Plan(o.Seed, o.Count, time.Duration(o.Patience), o.Settings)
	planned := make([]Planned, o.Count)
	for i := range planned {
		n := l.nodes[random.IntN(len(l.nodes))]
		p := Planned{Node: n.ID(), NewFault: NewFault{BMC: &ofBMCs[i]}}
		if random.IntN(2) == 0 {
			kinds := n.machine.faultKinds()
			p.NewFault = NewFault{Machine: &Fault{Kind: kinds[random.IntN(len(kinds))], Nth: 1 + random.IntN(3), Count: 1}}
		}
		if err := n.AddFault(p.NewFault); err != nil {
			return planned[:i], err
		}
		planned[i] = p
	}
	return planned, nil
}
