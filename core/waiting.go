package core

import (
	"context"
	"time"
)

// waiting is what was told of a step that is not done yet. It begins anew with each.
type waiting struct {
	began time.Time
	said  string    // to the caller, last
	kept  string    // as an event, last
	told  time.Time // when that was
}

const (
	// tellEvery is how often the progress of a step is kept at most. A step that is done
	// sooner leaves nothing but that it is done.
	tellEvery = 15 * time.Second
	// changeEvery is how often at most another obstacle is kept.
	changeEvery = time.Minute
)

// waits tells what a step waits for, or fails at, with the time since and until when
// it does: to the caller, and in the node's events for everybody else. It is told anew
// only where it is something else by now, so that a long wait does not fill the store.
func (w *work) waits(ctx context.Context, step, what string) {
	p, now := &w.waiting, time.Now()
	text := span(ctx, p.began) + ": " + what
	if what != p.said {
		p.said = what
		w.say(step, "%s", text)
	}
	if what != p.kept && now.Sub(p.began) >= tellEvery && now.Sub(p.told) >= changeEvery {
		p.kept, p.told = what, now
		w.note(ctx, StepWaits, step, text)
	}
}

// span writes from when until when something is waited for.
func span(ctx context.Context, began time.Time) string {
	text := "since " + began.UTC().Format(time.TimeOnly)
	if until, bounded := ctx.Deadline(); bounded {
		text += ", until " + until.UTC().Format(time.TimeOnly)
	}
	return text + " UTC"
}
