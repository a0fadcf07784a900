// Package guard runs other programs so that nothing of them is left: they end when they
// are told to, and when this process ends, however it does. So does all that they have
// started themselves, once they have ended. On Linux that counts for what has left their
// process group and their session as well, but for what runs as another user.
package guard

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Group is one program with all that it starts, and a folder of its own that is removed
// once they have ended. A keeper, which is this program started again, runs it as its
// child: whoever loses his parent below the keeper becomes the keeper's.
type Group struct {
	// Dir is the folder. It is readable by this user alone, and gone after End.
	Dir string

	mu     sync.Mutex // what is started while the group ends would be left of it
	keeper *exec.Cmd  // nil: nothing was started
	hold   *os.File   // the keeper reads its end when we die
	gone   *os.File   // we read its end when the keeper has died
	ended  bool
}

// endTimeout is how long a keeper may take to end its program, which it does by force. It
// cannot where that has stopped the keeper itself.
const endTimeout = 10 * time.Second

// New makes a group in which nothing runs, and its folder under another one; "" is the
// usual one for such. The caller ends it.
func New(under string) (*Group, error) {
	dir, err := os.MkdirTemp(under, "metalpool-")
	if err != nil {
		return nil, fmt.Errorf("prepare to run a program: %w", err)
	}
	return &Group{Dir: dir}, nil
}

var errEnded = errors.New("its time was over before it was started")

// Start starts the group's program, unless the group was ended. The caller waits for cmd:
// that ends as the program does, once nothing is left of it. It is a process that passes
// SIGTERM on to the program's process group.
func (g *Group) Start(cmd *exec.Cmd) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.ended:
		return errEnded
	case cmd.Err != nil:
		return cmd.Err
	case g.keeper != nil:
		return errors.New("a group has one program")
	}
	self, err := itself()
	if err != nil {
		return err
	}
	held, hold, err := os.Pipe()
	if err != nil {
		return err
	}
	gone, lives, err := os.Pipe()
	if err != nil {
		return errors.Join(err, held.Close(), hold.Close())
	}
	first := 3 + len(cmd.ExtraFiles) // of the keeper's own files
	cmd.Args = append([]string{keeperName, strconv.Itoa(first), g.Dir, cmd.Path}, cmd.Args...)
	cmd.Path, cmd.ExtraFiles, cmd.SysProcAttr = self, append(cmd.ExtraFiles, held, lives), &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	_, _ = held.Close(), lives.Close()
	if err != nil {
		_, _ = hold.Close(), gone.Close()
		return err
	}
	g.keeper, g.hold, g.gone = cmd, hold, gone
	return nil
}

// itself is this program, also where another one lies at its path by now.
func itself() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// End kills all that runs in the group, and removes its folder then. Called again it does
// nothing, and returns when that is done.
func (g *Group) End() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return
	}
	g.ended = true
	if g.keeper != nil {
		_ = g.hold.Close()
		over := make(chan struct{})
		go func() {
			_, _ = io.Copy(io.Discard, g.gone)
			close(over)
		}()
		select {
		case <-over:
		case <-time.After(endTimeout):
			killBelow(g.keeper.Process.Pid)
			_ = g.keeper.Process.Kill()
		}
		_ = g.gone.Close()
	}
	_ = os.RemoveAll(g.Dir)
}
