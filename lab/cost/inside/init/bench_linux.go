package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"sync"

	"github.com/metalpool/metalpool/agent/metal"
	"github.com/metalpool/metalpool/lab/cost/inside"
)

// bench carries out what the outside asks for, one thing at a time.
type bench struct {
	log   *slog.Logger
	agent int // its process; 0 before there is one

	mu     sync.Mutex
	sample sample // of the last order
}

func (b *bench) startAgent(w http.ResponseWriter, r *http.Request) {
	area, err := io.ReadAll(r.Body)
	if err != nil {
		b.fail(w, err)
		return
	}
	cmd := exec.Command("/proc/self/exe") //nolint:noctx // it outlives the request
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(area), os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		b.fail(w, err)
		return
	}
	b.agent = cmd.Process.Pid
	go func() { _ = cmd.Wait() }() // it says itself why it ended
}

func (b *bench) tellPeak(w http.ResponseWriter, _ *http.Request) {
	if b.agent == 0 {
		b.fail(w, errors.New("there is no agent"))
		return
	}
	peak, err := metal.PeakMemory(strconv.Itoa(b.agent))
	if err != nil {
		b.fail(w, err)
		return
	}
	fmt.Fprint(w, int64(peak))
}

func (b *bench) measureAlone(w http.ResponseWriter, r *http.Request) {
	var o inside.Order
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		b.fail(w, err)
		return
	}
	s, err := load(r.Context(), o)
	if err != nil {
		b.fail(w, err)
		return
	}
	b.mu.Lock()
	b.sample = s
	b.mu.Unlock()
	took, err := measure(r.Context(), o, s)
	debug.FreeOSMemory() // the agent has the machine to itself again
	if err != nil {
		b.fail(w, err)
		return
	}
	_ = json.NewEncoder(w).Encode(took) // who asked has gone, or not
}

func (b *bench) serveChunk(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	packed := b.sample.packed
	b.mu.Unlock()
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || len(packed) == 0 {
		http.NotFound(w, r)
		return
	}
	chunk := packed[n%len(packed)]
	w.Header().Set("Content-Type", "application/zstd")
	w.Header().Set("Content-Length", strconv.Itoa(len(chunk)))
	_, _ = w.Write(chunk) // an agent that has gone asks again
}

func (b *bench) fail(w http.ResponseWriter, err error) {
	b.log.Error("what was asked for failed", "err", err)
	http.Error(w, err.Error(), http.StatusInternalServerError)
}
