// Package guard runs other programs so that nothing of them is left: they end when they
// are told to, and when this process ends, however it does. That also counts for what
// they have started themselves, unless it left their process group on purpose.
package guard

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
)

// Group is a process group, and a folder of its own that is removed with it.
type Group struct {
	// Dir is the folder. It is readable by this user alone, and gone after End.
	Dir string

	keeper *exec.Cmd
	hold   *os.File // the keeper reads its end when we die

	mu    sync.Mutex // what is started while the group ends would be left of it
	ended bool
}

// keeperName is what the leader of a group is called: this program, started again.
const keeperName = "metalpool-guard"

// Before main, so that every program with this package in it can be the keeper, tests
// among them.
func init() {
	if len(os.Args) == 2 && os.Args[0] == keeperName && syscall.Getpgrp() == os.Getpid() {
		keep(os.Args[1])
	}
}

// keep waits until who started us is gone, and ends the group then, this process with it.
func keep(dir string) {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = os.RemoveAll(dir)
	_ = syscall.Kill(0, syscall.SIGKILL)
}

// New makes a group in which nothing runs but its keeper. The caller ends it.
func New() (*Group, error) {
	fail := func(err error) (*Group, error) { return nil, fmt.Errorf("prepare to run a program: %w", err) }
	dir, err := os.MkdirTemp("", "metalpool-")
	if err != nil {
		return fail(err)
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		_ = os.RemoveAll(dir)
		return fail(err)
	}
	defer theirs.Close()
	self, err := itself()
	if err == nil {
		keeper := &exec.Cmd{Path: self, Args: []string{keeperName, dir}, Env: []string{}, Dir: "/", Stdin: theirs, SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
		if err = keeper.Start(); err == nil {
			return &Group{Dir: dir, keeper: keeper, hold: ours}, nil
		}
	}
	_, _ = ours.Close(), os.RemoveAll(dir)
	return fail(err)
}

// itself is this program, also where another one lies at its path by now.
func itself() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

var errEnded = errors.New("its time was over before it was started")

// Start starts a program in the group, unless that was ended. The caller waits for it.
func (g *Group) Start(cmd *exec.Cmd) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return errEnded
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: g.keeper.Process.Pid}
	return cmd.Start()
}

// End kills all that runs in the group. Called again it does nothing, and returns when
// that is done.
func (g *Group) End() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return
	}
	g.ended = true
	// Its number is no other group's: nobody has waited for the keeper yet.
	_ = syscall.Kill(-g.keeper.Process.Pid, syscall.SIGKILL)
	_ = g.hold.Close()
	_ = g.keeper.Wait() // it was killed
	_ = os.RemoveAll(g.Dir)
}
