package guard

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// keeperName is what a keeper is called.
const keeperName = "metalpool-guard"

// Before main, so that every program with this package in it can be the keeper, tests
// among them.
func init() {
	if len(os.Args) > 4 && os.Args[0] == keeperName && syscall.Getpgrp() == os.Getpid() {
		first, err := strconv.Atoi(os.Args[1])
		if err != nil {
			os.Exit(notStarted)
		}
		keep(first, os.Args[2], os.Args[3], os.Args[4:])
	}
}

const (
	// notStarted is what a shell tells of a program that cannot be executed.
	notStarted = 126
	// lastGrace is how long a program that was killed may take to be gone. One of another
	// user's, started through sudo say, cannot be killed by us.
	lastGrace = 5 * time.Second
)

// keep runs a program until it ends, or who started us does, and ends as it has; nothing
// of it is left then, nor its folder. first is the first of our own two files.
func keep(first int, dir, path string, args []string) {
	// Not ignored: what is ignored stays so in the program. With a handler for the end of
	// children, nobody else buries them.
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGHUP, syscall.SIGCHLD)
	hold := os.NewFile(uintptr(first), "hold")
	var theirs []uintptr
	for fd := range first {
		theirs = append(theirs, uintptr(fd))
	}
	syscall.CloseOnExec(first)
	syscall.CloseOnExec(first + 1) // never closed: its end tells that we are gone
	adopt()
	program, err := syscall.ForkExec(path, args, &syscall.ProcAttr{Env: os.Environ(), Files: theirs, Sys: &syscall.SysProcAttr{Setpgid: true}})
	if err != nil {
		fmt.Fprintf(os.Stderr, "cannot start %s: %v\n", path, err)
		_ = os.RemoveAll(dir)
		os.Exit(notStarted)
	}
	for fd := 3; fd < first; fd++ {
		_ = syscall.Close(fd) // who reads at their other ends waits for the program alone
	}
	var (
		how  atomic.Uint32 // of the program: that it was killed, until it is known to have ended itself
		over atomic.Bool   // its time is
		end  = sync.OnceFunc(func() {
			_ = os.RemoveAll(dir)
			endAs(syscall.WaitStatus(how.Load()))
		})
		kill = func() {
			if !over.Swap(true) {
				time.AfterFunc(lastGrace, end)
				_ = syscall.Kill(-program, syscall.SIGKILL) // once: its number may be another's later
			}
			killBelow(os.Getpid())
		}
	)
	how.Store(uint32(syscall.SIGKILL))
	go func() {
		_, _ = io.Copy(io.Discard, hold)
		kill()
	}()
	go func() {
		for range asked {
			if !over.Load() {
				_ = syscall.Kill(-program, syscall.SIGTERM)
			}
		}
	}()
	for options := 0; ; {
		var status syscall.WaitStatus
		who, err := syscall.Wait4(-1, &status, options, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil: // nobody is left
			end()
		case who == 0: // that has ended by now, and whose children are ours
			kill()
			options = 0
		case who == program:
			how.Store(uint32(status))
			options = syscall.WNOHANG
		case over.Load():
			// All of them first: some come faster than it is looked who is left.
			options = syscall.WNOHANG
		}
	}
}
