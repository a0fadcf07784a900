package sqlite

import (
	"errors"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWhoHasPassedGoesBehind: with one lock, whoever gives it up takes it again
// before the kernel has woken those who wait.
func TestWhoHasPassedGoesBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pool.db")
	gates := make([]*turnstile, 3)
	for i := range gates {
		g, err := openTurnstile(path, defaultPatience)
		if err != nil {
			t.Fatal(err)
		}
		defer g.close()
		gates[i] = g
	}
	eager, patient, probe := gates[0], gates[1], gates[2]
	for range 50 {
		if err := eager.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		order, failed := make(chan string, 2), make(chan error, 1)
		go func() {
			err := patient.enter(t.Context())
			order <- "patient"
			patient.leave()
			failed <- err
		}()
		// Who waits at the gate holds the queue; then nobody else can take it.
		for flock(probe.queue, unix.LOCK_EX|unix.LOCK_NB) == nil {
			if err := flock(probe.queue, unix.LOCK_UN); err != nil {
				t.Fatal(err)
			}
			runtime.Gosched()
		}
		eager.leave()
		err := eager.enter(t.Context())
		order <- "eager"
		eager.leave()
		if err := errors.Join(err, <-failed); err != nil {
			t.Fatal(err)
		}
		if first := <-order; first != "patient" {
			t.Fatal("a writer that had just passed went before one that waited")
		}
	}
}
