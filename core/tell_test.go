package core

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestBefore(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	why := errors.New("write: backend: medium error")
	var all []Event
	tell := func(e Event) {
		e.At, e.Node = at.Add(time.Duration(len(all))*time.Second), "n1"
		all = append(all, e)
	}
	for i := range 4 {
		tell(Event{Type: Note, Message: fmt.Sprint("old ", i)})
	}
	tell(Event{Type: LeftOut, Message: "many"})
	tell(Event{Type: StateChanged, From: Allocated, To: Deploying, On: Deploy})
	tell(Event{Type: StepMet, Step: stepOn})
	tell(Event{Type: StepWaits, Step: stepRamdisk, Message: "since 03:04:05:\n trying again: busy; its console ends: \"one\""})
	tell(Event{Type: StepOutput, Step: "step agent", Message: "one\ntwo\nthree\nfour\n"})
	tell(Event{Type: ConsoleSaid, Step: stepSSH, Message: "panic"})
	tell(Event{Type: StepMoves, Step: stepWrite, Message: strings.Repeat("é", 300)})
	tell(Event{Type: StepFailed, Step: stepWrite, Message: why.Error()})
	got := before(all, why)
	want := []string{
		"02:04:07 n1 note: old 2",
		"02:04:08 n1 note: old 3",
		"02:04:10 n1 Allocated → Deploying (deploy)",
		"02:04:11 n1 power on done",
		"02:04:12 n1 boot ramdisk waits: since 03:04:05: trying again: busy",
		"02:04:13 n1 step agent said: two | three | four",
		"02:04:15 n1 write image: " + strings.Repeat("é", toldWidth-1-len("02:04:15 n1 write image: ")) + "…",
		"02:04:16 n1 write image failed",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := Before(fmt.Errorf("so: %w", &Error{Op: "create", Kind: Backend, Err: &Error{Op: "deploy", Kind: Backend, Err: why, Before: want}})); !slices.Equal(got, want) {
		t.Errorf("of what is wrapped: %q", got)
	}
	if got := Before(why); got != nil {
		t.Errorf("of another error: %q", got)
	}
}
