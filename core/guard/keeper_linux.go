package guard

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// adopt has whoever loses his parent below this process become a child of it.
func adopt() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// killBelow kills all whose parents, or theirs, are a process.
func killBelow(ancestor int) {
	children := map[int][]int{}
	all, _ := os.ReadDir("/proc") // without it there is the process group
	for _, entry := range all {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // it has gone
		}
		// Its name is in brackets, and may have some.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 2 {
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	for below := children[ancestor]; len(below) > 0; below = below[1:] {
		_ = syscall.Kill(below[0], syscall.SIGKILL)
		below = append(below, children[below[0]]...)
	}
}

// endAs ends this process as a child of it has.
func endAs(how syscall.WaitStatus) {
	if how.Signaled() {
		// Go's own handlers would print where it was. Nobody wants to look at our core.
		var usual [64]byte // SIG_DFL, with no flags: on every architecture all zero
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
		_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(how.Signal()), uintptr(unsafe.Pointer(&usual)), 0, 8, 0, 0)
		_ = syscall.Kill(os.Getpid(), how.Signal())
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	os.Exit(how.ExitStatus())
}
