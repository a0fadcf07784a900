package core

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// waiting is what was told of a step that is not done yet. It begins anew with each.
// Whoever listens to the agent meanwhile uses it, too.
type waiting struct {
	mu    sync.Mutex
	began time.Time
	said  string    // to the caller, last
	kept  string    // as an event, last
	told  time.Time // when that was
	// failed are the faults so far, each once, and tries how many tries had one.
	failed []string
	tries  int
}

const (
	// tellEvery is after how long what a step waits for is kept. A step that is done
	// sooner leaves nothing but that it is done.
	tellEvery = 15 * time.Second
	// changeEvery is how often at most another obstacle is kept.
	changeEvery = time.Minute
	// mostFaults is how many faults of one step are kept at once, as they come: each other
	// one is an obstacle like any.
	mostFaults = 8
)

func (p *waiting) begin(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began, p.said, p.kept, p.told, p.failed, p.tries = now, "", "", time.Time{}, nil, 0
}

// fails takes what failed, and decides whether that is kept at once: a fault that
// passes with the next try is part of the story, too, but each only once.
func (p *waiting) fails(why string, now time.Time) (keep bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.failed) >= mostFaults || slices.Contains(p.failed, why) {
		return false
	}
	p.failed = append(p.failed, why)
	p.kept, p.told = why, now
	return true
}

// ends is how many tries failed before the step was done.
func (p *waiting) ends() (tries int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	tries, p.tries = p.tries, 0
	return tries
}

// meets takes an obstacle that has been there since then, and decides whether to tell
// the caller of it, and whether to keep it for everybody else.
func (p *waiting) meets(what string, since, now time.Time) (say, keep bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if say = what != p.said; say {
		p.said = what
	}
	if keep = what != p.kept && now.Sub(since) >= tellEvery && now.Sub(p.told) >= changeEvery; keep {
		p.kept, p.told = what, now
	}
	return say, keep
}

// passes says that what was told of is over: the same again is told anew. kept is
// whether anybody but the caller knew.
func (p *waiting) passes() (said, kept bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	said, kept = p.said != "", p.kept != ""
	p.said, p.kept = "", ""
	return said, kept
}

// retries tells that a try at a step has failed, and is followed by another.
func (w *work) retries(ctx context.Context, step, why string) {
	w.waiting.mu.Lock()
	w.waiting.tries++
	w.waiting.mu.Unlock()
	w.fault(ctx, step, "trying again: "+why)
}

// fault tells what failed and is done again: each fault of a step as it comes, once.
func (w *work) fault(ctx context.Context, step, what string) {
	if w.waiting.fails(what, time.Now()) {
		w.waiting.mu.Lock()
		began := w.waiting.began
		w.waiting.mu.Unlock()
		until, _ := ctx.Deadline()
		w.note(ctx, StepWaits, step, span(began, until)+": "+what)
	}
	w.waits(ctx, step, what)
}

// waits tells what a step waits for, or fails at, with the time since and until when
// it does: to the caller, and in the node's events for everybody else. It is told anew
// only where it is something else by now, so that a long wait does not fill the store.
func (w *work) waits(ctx context.Context, step, what string) {
	w.waiting.mu.Lock()
	began := w.waiting.began
	w.waiting.mu.Unlock()
	until, _ := ctx.Deadline()
	w.waitsFor(ctx, step, what, began, until)
}

// waitsFor is waits for something that began after its step, or ends before it.
func (w *work) waitsFor(ctx context.Context, step, what string, since, until time.Time) {
	say, keep := w.waiting.meets(what, since, time.Now())
	text := span(since, until) + ": " + what
	if say {
		w.say(step, "%s", text)
	}
	if keep {
		w.note(ctx, StepWaits, step, text)
	}
}

// span writes from when until when something is waited for; the zero time is no end.
func span(since, until time.Time) string {
	text := "since " + since.UTC().Format(time.TimeOnly)
	if !until.IsZero() {
		text += ", until " + until.UTC().Format(time.TimeOnly)
	}
	return text + " UTC"
}

const (
	// silentFor is how long an agent may owe an answer until that is worth telling:
	// longer than it takes its time with when all is well.
	silentFor = 15 * time.Second
	// listenEvery is how often that is looked at.
	listenEvery = 3 * time.Second
)

// listen tells of a step that needs the agent when the agent does not answer, and when
// it does again. The step cannot: it goes on in the ramdisk whether we are connected or
// not, and the call that waits for its end asks again and again by itself. stop returns
// once no more is told.
func (w *work) listen(ctx context.Context, step string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var silent time.Time // since when, where that was told
		for wait(ctx, listenEvery) == nil {
			owes, now := w.talk.owes(), time.Now()
			switch {
			case !owes.Since.IsZero() && now.Sub(owes.Since) >= silentFor:
				silent = owes.Since
				until, _ := ctx.Deadline()
				if !owes.Until.IsZero() && owes.Until.Before(until) {
					until = owes.Until
				}
				w.waitsFor(ctx, step, owes.String(), silent, until)
			case !silent.IsZero():
				w.passes(ctx, step, "its agent answers again", now.Sub(silent))
				silent = time.Time{}
			}
		}
	}()
	return func() { cancel(); <-done }
}

// passes tells that what was waited for is over, to whom it was told that it is waited for.
func (w *work) passes(ctx context.Context, step, what string, after time.Duration) {
	text := fmt.Sprintf("%s, after %s", what, FormatDuration(after.Round(time.Second)))
	said, kept := w.waiting.passes()
	if said {
		w.say(step, "%s", text)
	}
	if kept {
		w.note(ctx, StepMoves, step, text)
	}
}
