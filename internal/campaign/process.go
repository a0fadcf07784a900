package campaign

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// door is how a client reaches the pool: an environment beside our own.
type door []string

// result is how a process ended.
type result struct {
	program      string
	args         []string
	out, err     string
	status       int // -1: killed
	hurt         Kind
	hung         bool // it did not end by itself, in far longer than anything takes
	began, ended time.Time
}

func (r result) ok() bool { return r.status == 0 }

// patience is far longer than any process of ours is silent, faults and deadlines included:
// what is hit again and again may go on for long, and tells of it. docker-machine waits for
// three minutes by itself, for several things in turn.
const (
	patience        = 2 * time.Minute
	dockersPatience = 15 * time.Minute
)

// run runs a process to its end, which may be a kill. struck is told when it was hurt.
func (w *World) run(ctx context.Context, d door, h Hurt, struck func(at time.Time), program string, args ...string) result {
	r := result{program: program, args: args}
	var out bytes.Buffer
	complaints := voice{heard: make(chan struct{}, 1)}
	cmd := exec.Command(program, args...) //nolint:noctx // it is ended below
	cmd.Env = append(w.environment(), d...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &complaints, 5*time.Second
	r.began = time.Now()
	if err := w.nest.start(cmd); err != nil {
		r.status, r.err = -1, err.Error()
		return r
	}
	limit := patience
	if program == w.Programs.DockerMachine {
		limit = dockersPatience
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	if h.Kind != "" {
		select {
		case <-ended:
		case <-time.After(h.After):
			r.hurt = h.Kind
			struck(time.Now())
			if h.Kind == KillCommand {
				_ = cmd.Process.Kill() // it may have ended
			} else {
				_ = cmd.Process.Signal(syscall.SIGSTOP)
				select {
				case <-time.After(asleep):
				case <-ctx.Done():
				}
				_ = cmd.Process.Signal(syscall.SIGCONT)
			}
		}
	}
	if !awaits(ended, complaints.heard, limit) {
		r.hung = true
		w.dump()
		_ = cmd.Process.Signal(syscall.SIGQUIT) // its goroutines tell why
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	r.ended = time.Now()
	r.status = cmd.ProcessState.ExitCode()
	r.out, r.err = out.String(), complaints.said.String()
	return r
}

// awaits waits until a process has ended. It gives up once that was silent for too long.
func awaits(ended, heard <-chan struct{}, silence time.Duration) bool {
	for {
		select {
		case <-ended:
			return true
		case <-heard:
		case <-time.After(silence):
			return false
		}
	}
}

// voice keeps what a process says, and tells that it does. It is no bytes.Buffer: what
// copies a process's output would fill that by its ReadFrom, and nothing would be heard.
type voice struct {
	said  bytes.Buffer
	heard chan struct{}
}

func (v *voice) Write(p []byte) (int, error) {
	select {
	case v.heard <- struct{}{}:
	default: // that it spoke was not heard yet
	}
	return v.said.Write(p)
}

// dump has the servers write what all their goroutines wait for. That ends them; they are
// started again, so that nobody else hangs on that account.
func (w *World) dump() {
	for _, s := range w.server {
		_ = s.end(syscall.SIGQUIT)
		_ = s.up() // or it is when the burst ends, and then it tells
	}
}

// environment is what every process gets: nothing of ours that is about metalpool.
func (w *World) environment() []string {
	env := []string{"HOME=" + w.home, "CAMPAIGN_TIMING=" + w.timing, "CAMPAIGN_CLOCK=" + w.clock.file}
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		if name != "HOME" && !strings.HasPrefix(name, "METALPOOL_") && !strings.HasPrefix(name, "CAMPAIGN_") {
			env = append(env, setting)
		}
	}
	return env
}

// outcome sorts the ends of processes for people.
type outcome string

const (
	went     outcome = "ok"
	refused  outcome = "refused" // as the pool stands it cannot be done
	failed   outcome = "failed"  // something broke on the way
	died     outcome = "killed"
	defected outcome = "defect" // a defect of metalpool itself shows
)

// outcomeOf reads how a process ended.
func outcomeOf(r result) outcome {
	text := r.out + r.err
	switch {
	case r.hung, strings.Contains(text, "panic: "), strings.Contains(text, "goroutine 1 ["), strings.Contains(text, "fatal error: "):
		return defected
	case r.hurt == KillCommand:
		return died
	case r.ok():
		return went
	}
	for _, kind := range []string{"no capacity", "not found", "exists", "busy", "denied", "invalid"} {
		if strings.Contains(r.err, ": "+kind+": ") {
			return refused
		}
	}
	return failed
}

// clock is that of the host of a store in a file: all processes on it have the same.
type clock struct{ file string }

// step puts the clock off by so much more.
func (c clock) step(by time.Duration) error {
	text, err := os.ReadFile(c.file)
	if errors.Is(err, os.ErrNotExist) {
		text, err = []byte("0s"), nil
	}
	if err != nil {
		return err
	}
	off, err := time.ParseDuration(string(text))
	if err != nil {
		return err
	}
	// Whole or not at all: it is read all the time.
	if err := os.WriteFile(c.file+".new", []byte((off + by).String()), 0o600); err != nil {
		return err
	}
	return os.Rename(c.file+".new", c.file)
}
