package campaign

import (
	"context"
	"os/exec"
	"testing"
	"time"
)

// A process that says something is heard while it runs, through the pipe that os/exec
// makes; then only its silence ends the wait for it.
func TestAProcessIsHeardWhileItRuns(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	complaints := voice{heard: make(chan struct{}, 1)}
	cmd := exec.CommandContext(ctx, "sh", "-c", "echo here >&2; cat")
	cmd.Stderr = &complaints
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-complaints.heard:
	case <-ctx.Done():
		t.Error("it spoke, and nobody heard it")
	}
	ended := make(chan struct{})
	if awaits(ended, complaints.heard, time.Millisecond) {
		t.Error("it was silent, and was waited for all the same")
	}
	_ = stdin.Close()
	_ = cmd.Wait()
	close(ended)
	if !awaits(ended, complaints.heard, time.Minute) {
		t.Error("it has ended, and nobody noticed")
	}
	if got := complaints.said.String(); got != "here\n" {
		t.Errorf("it said %q", got)
	}
}
