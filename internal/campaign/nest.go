package campaign

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// nest starts all processes from one thread. So they die with the campaign, whichever way
// that ends (the workers that they leave in the background do not: see warden); and where
// the kernel lets us, they see a small disk that nobody else sees.
type nest struct {
	do   chan func()
	disk string // folder of the small disk; empty: there is none
	why  error  // that there is none
}

// diskSize is that of the small disk, in bytes: the store, the workers' log and what is
// cached fit many times.
const diskSize = 256 << 20

// newNest makes a nest; where the kernel lets us, disk is the folder of a small disk.
func newNest(disk string) *nest {
	n := &nest{do: make(chan func())}
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		for fn := range n.do {
			fn()
		}
	}()
	if n.why = n.run(func() error { return mountSmall(disk) }); n.why == nil {
		n.disk = disk
	}
	return n
}

func mountSmall(disk string) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("campaign", disk, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", diskSize))
}

// run runs fn on the nest's thread, which sees what the processes see.
func (n *nest) run(fn func() error) error {
	answer := make(chan error)
	n.do <- func() { answer <- fn() }
	return <-answer
}

func (n *nest) start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return n.run(cmd.Start)
}

func (n *nest) close() { close(n.do) }

func (n *nest) filler() string { return filepath.Join(n.disk, "filler") }

// fill leaves no room on the disk; drain makes it again.
func (n *nest) fill() error {
	return n.run(func() error {
		f, err := os.Create(n.filler())
		if err != nil {
			return err
		}
		defer f.Close()
		for piece := make([]byte, 1<<20); err == nil; {
			_, err = f.Write(piece)
		}
		if !errors.Is(err, unix.ENOSPC) {
			return err
		}
		return nil
	})
}

func (n *nest) drain() error {
	return n.run(func() error {
		err := os.Remove(n.filler())
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
}

// read reads a file that the processes may have written to the small disk.
func (n *nest) read(path string) (text []byte, err error) {
	err = n.run(func() error {
		text, err = os.ReadFile(path)
		return err
	})
	return text, err
}
