package core

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A step that takes long is told of while it does: whoever follows the node is another
// process. That it began is written with the try, and then ever more rarely how long it
// takes, and what it has said last. So a step of a week has two dozen lines.

// began is the event of a try that begins.
func (w *work) began(s Step, try int) Event {
	text := "began"
	if s.Retries > 0 {
		text += fmt.Sprintf(", try %d of %d", try, s.Retries+1)
	}
	return w.event(StepMoves, stepName(s), fmt.Sprintf("%s, at most %s", text, s.Timeout))
}

// beats tells of a try that is under way, until stop, which returns once no more is told.
func (w *work) beats(ctx context.Context, name string, said *output, secrets *secretsFound) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	began := time.Now()
	go func() {
		defer close(done)
		for pause := tellEvery; wait(ctx, pause) == nil; pause = time.Since(began) {
			text := "under way for " + FormatDuration(time.Since(began).Round(time.Second))
			if last := said.soFar(secrets.all()); last != "" {
				text += ", and said last: " + last
			} else {
				text += ", and has said nothing"
			}
			w.note(ctx, StepMoves, name, text)
			w.say(name, "%s", text)
		}
	}()
	return func() { cancel(); <-done }
}

// secretsFound are the secrets that a try has found, in all the shapes that they are told in.
type secretsFound struct {
	mu    sync.Mutex
	found []string
}

func (f *secretsFound) add(secret string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(f.found, secret) {
		f.found = append(f.found, sayable(secret)...)
	}
}

// all is not to be changed.
func (f *secretsFound) all() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clip(f.found)
}

func (f *secretsFound) hide(text string) string { return hide(text, f.all()) }
