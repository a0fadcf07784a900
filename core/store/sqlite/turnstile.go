package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// turnstile lets one writer pass at a time, among the goroutines of this process
// and among all processes on the store. SQLite's own waiting sleeps and retries
// without a queue and starves some; one flock is taken again by whoever has just
// released it, before the kernel has woken those who wait. So there are two: a
// writer waits for queue, holds it until it has gate, and thereby keeps a writer
// that has just passed behind at least one that has not.
type turnstile struct {
	queue, gate *os.File
	// turn is this process's one place before the files, which also a flock has that
	// nobody waits for any more. Who of its writers has it next, writers say.
	turn     chan struct{}
	patience time.Duration
}

// errPatience is the cause when a wait has lasted for the turnstile's patience.
var errPatience = errors.New("patience is over")

func openTurnstile(path string, patience time.Duration) (*turnstile, error) {
	queue, err := os.OpenFile(path+".queue", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	gate, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, errors.Join(err, queue.Close())
	}
	return &turnstile{queue: queue, gate: gate, turn: make(chan struct{}, 1), patience: patience}, nil
}

// enter returns once the caller is the only writer; it then calls leave. A writer
// that died is no obstacle: the kernel drops its locks.
func (t *turnstile) enter(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, t.patience, errPatience)
	defer cancel()
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return t.tooLong(ctx)
	}
	if err := ctx.Err(); err != nil {
		<-t.turn
		return t.tooLong(ctx)
	}
	// Mostly nobody is there; then no goroutine is needed.
	first := flock(t.queue, unix.LOCK_EX|unix.LOCK_NB) == nil
	if first && flock(t.gate, unix.LOCK_EX|unix.LOCK_NB) == nil {
		// Unlocking an open file cannot fail.
		_ = flock(t.queue, unix.LOCK_UN)
		return nil
	}
	passed := make(chan error, 1)
	go func() { passed <- t.wait(first) }()
	select {
	case err := <-passed:
		if err != nil {
			<-t.turn
			return record.Broken("lock the store", err)
		}
		return nil
	case <-ctx.Done():
		// A flock under way cannot be called back: let it come and give it up at once.
		// Until then this process keeps its one place.
		go func() {
			if <-passed == nil {
				t.leave()
			} else {
				<-t.turn
			}
		}()
		return t.tooLong(ctx)
	}
}

// wait takes both locks, the queue's unless we are first in it already, and keeps
// the gate's.
func (t *turnstile) wait(first bool) error {
	if !first {
		if err := flock(t.queue, unix.LOCK_EX); err != nil {
			return err
		}
	}
	err := flock(t.gate, unix.LOCK_EX)
	return errors.Join(err, flock(t.queue, unix.LOCK_UN))
}

func (t *turnstile) leave() {
	// A file that was closed meanwhile has let go already.
	_ = flock(t.gate, unix.LOCK_UN)
	<-t.turn
}

func (t *turnstile) close() error { return errors.Join(t.gate.Close(), t.queue.Close()) }

func (t *turnstile) tooLong(ctx context.Context) error {
	if !errors.Is(context.Cause(ctx), errPatience) {
		return ctx.Err()
	}
	who := "another process"
	if pid := lockHolder(t.gate); pid != 0 {
		who = fmt.Sprintf("process %d", pid)
	}
	return &core.Error{Op: "write to the store", Kind: core.Busy,
		Err:  fmt.Errorf("%s has held %s, or others were before us, for %s", who, t.gate.Name(), t.patience),
		Hint: "try again; if it stays so, see what that process does"}
}

// flock goes through the file's own reference, so that closing the file meanwhile
// cannot make it lock another file under the same number.
func flock(f *os.File, how int) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var locked error
	err = raw.Control(func(fd uintptr) {
		for {
			locked = unix.Flock(int(fd), how)
			if locked != unix.EINTR {
				return
			}
		}
	})
	return errors.Join(err, locked)
}
