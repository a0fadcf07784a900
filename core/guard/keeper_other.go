//go:build !linux

package guard

import (
	"os"
	"syscall"
)

// adopt does nothing: there is the program's process group alone.
func adopt() {}

func killBelow(int) {}

// endAs ends this process as a child of it has.
func endAs(how syscall.WaitStatus) {
	if how.Signaled() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	os.Exit(how.ExitStatus())
}
