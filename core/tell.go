package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Text says what an event tells of, without its message.
func (e Event) Text() string {
	switch e.Type {
	case StateChanged:
		if e.From == "" || e.From == Unborn {
			if e.On == "" {
				return "→ " + string(e.To)
			}
			return fmt.Sprintf("→ %s (%s)", e.To, e.On)
		}
		return fmt.Sprintf("%s → %s (%s)", e.From, e.To, e.On)
	case StepMet:
		return e.Step + " done"
	case StepUndone:
		return e.Step + " not done"
	case StepMoves:
		return e.Step
	case StepWaits:
		return e.Step + " waits"
	case StepFailed:
		return e.Step + " failed"
	case StepOutput:
		return e.Step + " said"
	case WorkLeft:
		return e.Step + " left"
	case WorkTaken:
		return e.Step + " taken over"
	case Erased, AgentRefused, LeftOut:
		return string(e.Type)
	}
	return strings.TrimSpace(string(e.Type) + " " + e.Step)
}

// How much an error tells of what happened before it.
const (
	toldBefore = 8   // events
	toldWidth  = 240 // characters of each
	toldOutput = 3   // lines of what a step said
)

// before are the last events of what failed with err, a line each, with the time in UTC.
// What err says itself is not told again.
func before(events []Event, err error) (lines []string) {
	text := err.Error()
	for _, ev := range slices.Backward(events) {
		if len(lines) == toldBefore {
			break
		}
		line := ev.At.UTC().Format(time.TimeOnly) + " "
		if ev.Node != "" {
			line += string(ev.Node) + " "
		}
		line += ev.Text()
		what := Brief(ev.Message)
		switch ev.Type {
		case ConsoleSaid, AgentSaid, LeftOut: // the error quotes their ends
			continue
		case StepOutput:
			if words := lastSaid(ev.Message); words != "" && strings.Contains(text, words) {
				continue // it is quoted
			}
			what = strings.Join(lastLines(ev.Message, toldOutput), " | ")
		}
		if what != "" && !strings.Contains(text, what) {
			line += ": " + strings.Join(strings.Fields(what), " ")
		}
		if runes := []rune(line); len(runes) > toldWidth {
			line = string(runes[:toldWidth-1]) + "…"
		}
		lines = append(lines, line)
	}
	slices.Reverse(lines)
	return lines
}

// remembering is err with what happened to the allocation before it: who reads it may
// have nothing but its text, and the hour.
func (e *Engine) remembering(ctx context.Context, err error, id AllocationID) error {
	failed, ok := outermost(err)
	if !ok || len(failed.Before) > 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.timing.Call)
	defer cancel()
	events, readErr := e.Events(ctx, EventFilter{Allocation: id, Limit: 4 * toldBefore})
	if readErr != nil {
		e.log.Warn("what happened before a fault is not known", "allocation", id, "error", readErr)
		return err
	}
	told := *failed
	told.Before = before(events, err)
	return &told
}

// Before are the last events of what failed with err, oldest first: one line each, with
// the time in UTC. Most errors have none.
func Before(err error) []string {
	var e *Error
	for errors.As(err, &e) {
		if len(e.Before) > 0 {
			return e.Before
		}
		err = e.Err
	}
	return nil
}
