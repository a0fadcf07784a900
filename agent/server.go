package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// fence knows the highest generation that has called. It is what keeps an engine
// that was taken over, and wakes up late, away from the disks.
type fence struct {
	mu      sync.Mutex
	highest uint64
	current context.Context // ends, with the error to answer, when a higher one calls
	pass    context.CancelCauseFunc
}

func newFence(generation uint64) *fence {
	f := &fence{highest: generation}
	f.current, f.pass = context.WithCancelCause(context.Background())
	return f
}

// admit refuses a generation that is too low. current ends once it becomes so.
func (f *fence) admit(generation uint64) (current context.Context, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if generation < f.highest {
		return nil, tooOld(generation, f.highest)
	}
	if generation > f.highest {
		f.pass(tooOld(f.highest, generation))
		f.highest = generation
		f.current, f.pass = context.WithCancelCause(context.Background())
	}
	return f.current, nil
}

// within runs fn while no higher generation can come in between.
func (f *fence) within(current context.Context, fn func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if current.Err() != nil {
		return context.Cause(current)
	}
	return fn()
}

func tooOld(generation, highest uint64) error {
	return &core.Error{
		Op: "call the agent", Kind: core.LeaseLost, Err: fmt.Errorf("generation %d has called, and this is %d", highest, generation),
		Hint: "another worker has taken over; stop",
	}
}

// maxCommand bounds a command's body: a manifest has 70 bytes per chunk.
const maxCommand = 64 << 20

func (a *agent) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.InventoryPath, a.fenced(a.serveInventory))
	mux.HandleFunc("GET "+wire.LogPath, a.fenced(a.serveLog))
	mux.HandleFunc("PUT "+wire.CommandPath, a.fenced(a.startCommand))
	mux.HandleFunc("GET "+wire.CommandPath, a.fenced(a.showCommand))
	return mux
}

// fenced lets no call through that is older than what has called before. current
// ends when a newer one comes.
func (a *agent) fenced(next func(current context.Context, w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		generation, err := strconv.ParseUint(r.Header.Get(wire.HeaderGeneration), 10, 64)
		if err != nil {
			answer(w, &core.Error{Op: "call the agent", Kind: core.Invalid, Err: errors.New("the call bears no generation")})
			return
		}
		current, err := a.fence.admit(generation)
		if err != nil {
			answer(w, err)
			return
		}
		defer a.ears.call()()
		if err := next(current, w, r); err != nil {
			answer(w, err)
		}
	}
}

func (a *agent) serveInventory(_ context.Context, w http.ResponseWriter, r *http.Request) error {
	i, err := a.host.Inventory(r.Context())
	if err != nil {
		return &core.Error{Op: "inventory", Kind: core.Backend, Err: err}
	}
	i.Attempt = a.params.Boot
	writeJSON(w, http.StatusOK, i)
	return nil
}

func (a *agent) serveLog(_ context.Context, w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, http.StatusOK, wire.Log{Text: a.journal.Text()})
	return nil
}

func (a *agent) startCommand(current context.Context, w http.ResponseWriter, r *http.Request) error {
	fail := func(err error) error { return &core.Error{Op: "start command", Kind: core.Invalid, Err: err} }
	id := r.Header.Get(wire.HeaderCommand)
	if !wire.ValidCommandID(id) {
		return fail(errors.New("the command bears no ID"))
	}
	var c wire.Command
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommand)).Decode(&c); err != nil {
		return fail(fmt.Errorf("it is unreadable: %w", err))
	}
	if err := c.Validate(); err != nil {
		return fail(err)
	}
	caller, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return fail(err)
	}
	var j *job
	if err := a.fence.within(current, func() (err error) {
		j, err = a.board.start(id, c, caller)
		return err
	}); err != nil {
		return err
	}
	status, _ := j.now()
	a.tell(w, j, status)
	return nil
}

func (a *agent) showCommand(current context.Context, w http.ResponseWriter, r *http.Request) error {
	j, err := a.board.find(r.Header.Get(wire.HeaderCommand))
	if err != nil {
		return err
	}
	after, _ := strconv.ParseUint(r.URL.Query().Get(wire.QueryAfter), 10, 64)
	wait, _ := strconv.Atoi(r.URL.Query().Get(wire.QueryWait))
	ctx, cancel := context.WithTimeout(r.Context(), time.Duration(min(max(wait, 0), wire.MaxWait))*time.Second)
	defer cancel()
	defer context.AfterFunc(current, cancel)()
	status := j.await(ctx, after)
	if current.Err() != nil {
		return context.Cause(current)
	}
	a.tell(w, j, status)
	return nil
}

// tell answers with a status. Once the engine knows that the machine leaves, it may.
func (a *agent) tell(w http.ResponseWriter, j *job, s wire.Status) {
	writeJSON(w, http.StatusOK, s)
	if j.name == "boot" && s.State == wire.Done {
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		a.tellOnce.Do(func() { close(a.delivered) })
	}
}

func answer(w http.ResponseWriter, err error) {
	writeJSON(w, wire.HTTPStatus(core.KindOf(err)), wire.ToWire(err))
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // to a caller that has gone, nothing can be said
}
