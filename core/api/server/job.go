package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

const (
	queueGrace = 15 * time.Second
	remembered = 10 * time.Minute // how long the end of a write is told again
	keptEvents = 128              // what a follower who comes late is still told
)

var (
	errDraining = &core.Error{Op: "serve", Kind: core.Transient, Err: errors.New("this server is stopping"), Hint: "ask again: another one, or its next start, goes on"}
	errDefect   = &core.Error{Op: "serve", Kind: core.Internal, Err: errors.New("the server met a defect of its own"), Hint: "its log tells more; please report it"}
	errAlone    = &core.Error{Op: "acquire", Kind: core.Timeout, Err: errors.New("nobody waited for a node any more"), Hint: "ask again, and stay connected while it queues"}
)

// jobs are the writes under way, and those that ended a short while ago.
type jobs struct {
	grace time.Duration

	mu        sync.Mutex
	running   map[string]*job // by what is done
	requested map[string]*job // by the callers' IDs
	crowds    map[string]*crowd
	most      Crowd
	draining  bool
	stop      context.CancelCauseFunc
	ctx       context.Context
	all       sync.WaitGroup
}

// ended is what a write came to, and what is left to be done once that was told.
type ended struct {
	result any
	err    error
	after  func()
}

func newJobs(grace time.Duration, most Crowd) *jobs {
	ctx, stop := context.WithCancelCause(context.Background())
	return &jobs{grace: grace, running: map[string]*job{}, requested: map[string]*job{}, crowds: map[string]*crowd{}, most: most.orDefaults(), ctx: ctx, stop: stop}
}

// jobKey tells two writes apart: who asks for what. The request's own ID, which is not
// in its JSON, does not.
// size is how many bytes it keeps while it is under way.
func jobKey(p principal, operation string, in any) (key string, size int64) {
	text, err := json.Marshal([]any{p.ID, operation, in})
	if err != nil { // though it came as JSON
		return core.NewID("j"), 0
	}
	sum := sha256.Sum256(text)
	return string(sum[:]), int64(len(text))
}

// begin starts a job, or finds the one that does the same already.
func (js *jobs) begin(key string, weighs weight, who, request string, do func(context.Context, core.Reporter) ended) (*job, error) {
	js.mu.Lock()
	defer js.mu.Unlock()
	if j, there := js.requested[who+"/"+request]; there {
		if j.key != key {
			return nil, &core.Error{Op: "read the request", Kind: core.Invalid, Err: fmt.Errorf("the request ID %s was used for another write", request), Hint: "make a new ID for each write"}
		}
		return j, nil
	}
	j, there := js.running[key]
	if there && !js.fits(who) { // one write is no way to have any number of requests kept
		return nil, crowded(who, fmt.Sprintf("%d requests under way", js.most.Told))
	}
	if !there {
		if js.draining {
			return nil, errDraining
		}
		if err := js.room(who, weighs); err != nil {
			js.leave(who)
			return nil, err
		}
		j = newJob(js.ctx, key, js.grace)
		c := js.of(who)
		js.running[key], c.running[j], c.held = j, struct{}{}, c.held+weighs.size
		js.all.Go(func() {
			e := do(j.ctx, j.report)
			js.mu.Lock()
			delete(js.running, key)
			delete(c.running, j)
			c.held -= weighs.size
			js.leave(who)
			js.mu.Unlock()
			j.end(e.result, e.err)
			e.after()
		})
	}
	js.remember(who, request, j)
	context.AfterFunc(j.over, func() {
		time.AfterFunc(remembered, func() {
			js.mu.Lock()
			defer js.mu.Unlock()
			js.forget(who, request, j)
		})
	})
	return j, nil
}

// find is the job that a caller's own request began.
func (js *jobs) find(who, request string) (*job, bool) {
	js.mu.Lock()
	defer js.mu.Unlock()
	j, there := js.requested[who+"/"+request]
	return j, there
}

func (js *jobs) drain(ctx context.Context) error {
	js.mu.Lock()
	js.draining = true
	js.mu.Unlock()
	js.stop(errDraining)
	none := make(chan struct{})
	go func() {
		js.all.Wait()
		close(none)
	}()
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (js *jobs) isDraining() bool {
	js.mu.Lock()
	defer js.mu.Unlock()
	return js.draining
}

// job is one write.
type job struct {
	key    string
	ctx    context.Context
	cancel context.CancelCauseFunc
	over   context.Context // done with the job
	finish context.CancelFunc
	told   chan struct{} // closed once there is anything to tell
	done   <-chan struct{}
	grace  time.Duration
	began  time.Time

	mu        sync.Mutex
	count     int // of events ever
	events    []event
	news      chan struct{} // closed with the next event
	followers int
	queueing  bool
	alone     *time.Timer // runs while it queues and nobody follows

	// result and err are read once done is closed.
	result any
	err    error
}

type event struct {
	id int64
	api.Progress
}

func newJob(parent context.Context, key string, grace time.Duration) *job {
	j := &job{key: key, told: make(chan struct{}), news: make(chan struct{}), grace: grace, began: time.Now()}
	j.ctx, j.cancel = context.WithCancelCause(parent)
	j.over, j.finish = context.WithCancel(context.Background())
	j.done = j.over.Done()
	return j
}

// report takes what the engine tells.
func (j *job) report(p core.Progress) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.count == 0 {
		close(j.told)
	}
	j.count++
	e := event{api.EventID(j.began, j.count), api.Progress(p)}
	// Of bytes that move only the last count matters.
	if n := len(j.events); n > 0 && p.Total > 0 && j.events[n-1].Total > 0 && j.events[n-1].Step == p.Step && j.events[n-1].Node == p.Node {
		j.events = j.events[:n-1]
	}
	if len(j.events) >= keptEvents {
		j.events = append(j.events[:0:0], j.events[1:]...)
	}
	j.events = append(j.events, e)
	close(j.news)
	j.news = make(chan struct{})
	j.queueing = p.Step == core.StepQueue
	j.watch()
}

// since returns what was told after an event, and what is closed with the next one.
func (j *job) since(id int64) ([]event, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, e := range j.events {
		if e.id > id {
			return append([]event(nil), j.events[i:]...), j.news
		}
	}
	return nil, j.news
}

// follow counts a follower until leave is called.
func (j *job) follow() (leave func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.followers++
	j.watch()
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.followers--
		j.watch()
	}
}

// watch ends an order that only queues a while after nobody follows it any more: the
// caller would be given a node that it does not know of. Once a node is taken the job
// goes on to its end, and the caller finds the machine by its ID. j.mu is held.
func (j *job) watch() {
	if lonely := j.queueing && j.followers == 0; !lonely {
		if j.alone != nil {
			j.alone.Stop()
			j.alone = nil
		}
		return
	}
	if j.alone == nil {
		var timer *time.Timer
		timer = time.AfterFunc(j.grace, func() {
			j.mu.Lock()
			defer j.mu.Unlock()
			if j.alone == timer {
				j.cancel(errAlone)
			}
		})
		j.alone = timer
	}
}

func (j *job) end(result any, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.queueing = false
	j.watch()
	j.result, j.err = result, err
	j.cancelled()
	j.finish()
}

// cancelled says who is to blame where the job was ended from outside.
func (j *job) cancelled() {
	if j.err != nil && errors.Is(context.Cause(j.ctx), errAlone) {
		j.err = errAlone
	}
	if j.err == nil || !errors.Is(context.Cause(j.ctx), errDraining) {
		j.cancel(nil)
	}
}

// handedOver reports whether a job that has ended was cut off by a drain, or by what is
// going to be one.
func (j *job) handedOver() bool {
	return j.err != nil && (errors.Is(context.Cause(j.ctx), errDraining) || errors.Is(j.err, core.ErrOutdated))
}
