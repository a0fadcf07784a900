package agent

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// job is one command, under way or ended. It is never forgotten: the same ID again
// gets the same answer.
type job struct {
	id     string
	name   string
	digest [sha256.Size]byte // of what was ordered
	source *source           // of a write

	mu      sync.Mutex
	status  wire.Status
	changed chan struct{} // closed with each change that is worth telling
	told    time.Time
}

// progressEvery bounds how often progress wakes those who wait for it.
const progressEvery = time.Second

func (j *job) progress(done, total core.Bytes) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.status.Done, j.status.Total = done, total
	if now := time.Now(); now.Sub(j.told) >= progressEvery {
		j.told = now
		j.tell()
	}
}

// ran keeps how a script has ended, which is told once the command has.
func (j *job) ran(r *wire.Ran) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.status.Ran = r
}

func (j *job) end(report *core.EraseReport, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.status.State, j.status.Report, j.status.Err = wire.Done, report, wire.ToWire(err)
	if err != nil {
		j.status.State = wire.Failed
	}
	j.tell()
}

func (j *job) tell() {
	j.status.Seq++
	close(j.changed)
	j.changed = make(chan struct{})
}

func (j *job) now() (wire.Status, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.status, j.changed
}

// await returns the status once its Seq differs from after, or when ctx ends.
func (j *job) await(ctx context.Context, after uint64) wire.Status {
	for {
		status, changed := j.now()
		if status.Seq != after || status.State != wire.Running {
			return status
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return status
		}
	}
}

// board holds all commands of one boot.
type board struct {
	ctx    context.Context // ends the work under way
	worker worker
	work   sync.WaitGroup

	mu      sync.Mutex
	jobs    map[string]*job
	running *job
	closed  bool
}

// worker carries out commands. It returns an erase's report, also with an error.
type worker interface {
	do(ctx context.Context, c wire.Command, j *job) (*core.EraseReport, error)
}

// start begins a command, or finds the one of that ID. One runs at a time: what
// two of them would do to a disk together, nobody could say.
func (b *board) start(id string, c wire.Command, caller string) (*job, error) {
	fail := func(kind core.Kind, err error, hint string) (*job, error) {
		return nil, &core.Error{Op: c.Name(), Kind: kind, Err: err, Hint: hint}
	}
	digest, err := digestOf(c)
	if err != nil {
		return fail(core.Invalid, err, "")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if old := b.jobs[id]; old != nil {
		if old.name != c.Name() || old.digest != digest {
			return fail(core.Exists, fmt.Errorf("command %s is another order, a %s", id, old.name), "give each order its own ID")
		}
		if old.source != nil {
			old.source.move(c.Write, caller)
		}
		return old, nil
	}
	if b.closed {
		return fail(core.Busy, errors.New("the agent is leaving"), "")
	}
	if b.running != nil {
		return fail(core.Busy, fmt.Errorf("the %s %s is under way", b.running.name, b.running.id), "wait for its end")
	}
	j := &job{id: id, name: c.Name(), digest: digest, changed: make(chan struct{}), status: wire.Status{State: wire.Running, Seq: 1}}
	if c.Write != nil {
		j.source = newSource(c.Write, caller)
	}
	b.jobs[id], b.running = j, j
	b.work.Go(func() {
		report, err := b.worker.do(b.ctx, c, j)
		b.mu.Lock()
		b.running = nil
		b.mu.Unlock()
		if err != nil && b.ctx.Err() != nil {
			return // the agent ends; of the command nobody can say that it failed
		}
		j.end(report, err)
	})
	return j, nil
}

func (b *board) find(id string) (*job, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if j := b.jobs[id]; j != nil {
		return j, nil
	}
	return nil, &core.Error{Op: "find command", Kind: core.NotFound, Err: fmt.Errorf("there was none with ID %s", id)}
}

// close lets nothing more begin.
func (b *board) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

// digestOf tells orders apart; where the chunks come from is no part of an order, and
// neither are a script's variables.
func digestOf(c wire.Command) ([sha256.Size]byte, error) {
	if c.Write != nil {
		order := *c.Write
		order.Hosts, order.Manifest.Port, order.Manifest.Path = nil, 0, ""
		c.Write = &order
	}
	if c.Run != nil {
		order := *c.Run
		order.Env = nil
		c.Run = &order
	}
	text, err := json.Marshal(c)
	return sha256.Sum256(text), err
}
