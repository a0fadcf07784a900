package script_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/metalpool/metalpool/agent/script"
	"github.com/metalpool/metalpool/core"
)

func runner(t *testing.T) script.Runner {
	return script.Runner{Shell: []string{"sh"}, Dir: t.TempDir(), Path: os.Getenv("PATH")}
}

func TestScripts(t *testing.T) {
	t.Setenv("OF_THE_AGENT", "x")
	for name, tt := range map[string]struct {
		script core.Script
		status int
		says   string
	}{
		"says and ends":           {core.Script{Text: "echo out; echo err >&2; exit 3"}, 3, "out\nerr\n"},
		"has its files":           {core.Script{Text: "cat a.conf; ls", Files: map[string]string{"a.conf": "it's\n$HOME\n"}}, 0, "it's\n$HOME\na.conf\n"},
		"has its variables alone": {core.Script{Text: `echo "$A-$OF_THE_AGENT"`, Env: map[string]string{"A": "a 'b' $c\n"}}, 0, "a 'b' $c\n-\n"},
		"is read by what it says": {core.Script{Text: "#!/bin/sh -e\nfalse\necho not here"}, 1, ""},
		"has nothing to read":     {core.Script{Text: "cat; echo done"}, 0, "done\n"},
		"is no program":           {core.Script{Text: "#!/no/such/program\n"}, 127, "\x00"},
		"kills itself":            {core.Script{Text: "kill -9 $$"}, 137, "\x00"},
		"looks for our files":     {core.Script{Text: "(echo 0 >&3) 2>/dev/null; exit 4"}, 4, ""},
		"leaves nothing open":     {core.Script{Text: "sh -c 'exec 3>&1; echo hidden' & wait; exit 5"}, 5, "hidden\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := runner(t)
			var said strings.Builder
			status, err := r.Run(t.Context(), tt.script, &said)
			if err != nil || status != tt.status || tt.says != "\x00" && said.String() != tt.says {
				t.Errorf("status %d, %v; it said %q", status, err, &said)
			}
			if left, err := os.ReadDir(r.Dir); err != nil || len(left) != 0 {
				t.Errorf("it left %v, %v", left, err)
			}
		})
	}
}

// What hangs is ended with all that it began, and by force where it does not go.
func TestScriptsThatAreEnded(t *testing.T) {
	for name, text := range map[string]string{
		"hangs":         "sleep 600",
		"does not mind": "trap '' TERM; while :; do sleep 600; done",
		"hangs twice":   "sleep 600 & sleep 600",
	} {
		t.Run(name, func(t *testing.T) {
			begun := filepath.Join(t.TempDir(), "begun")
			if err := syscall.Mkfifo(begun, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			group := make(chan int, 1)
			go func() {
				pid, _ := os.ReadFile(begun)
				n, _ := strconv.Atoi(strings.TrimSpace(string(pid)))
				group <- n
				cancel()
			}()
			r := runner(t)
			r.Grace = 100 * time.Millisecond
			text = strings.Replace(text, "sleep", "echo $PPID > "+begun+"; sleep", 1)
			if status, err := r.Run(ctx, core.Script{Text: text}, io.Discard); !errors.Is(err, context.Canceled) {
				t.Errorf("status %d, %v", status, err)
			}
			// Init buries the rest whenever it likes; what is left of it runs no more.
			if pid := <-group; pid == 0 || runs(t, pid) {
				t.Errorf("group %d is there", pid)
			}
		})
	}
}

// runs reports whether a process of a group does anything but wait for its burial.
func runs(t *testing.T, group int) bool {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has gone
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) > 2 && fields[2] == strconv.Itoa(group) && fields[0] != "Z" {
			return true
		}
	}
	return false
}

// What a script leaves in the background is ended with it, in whatever session: what comes
// next is about the same disks. What the script said is all there.
func TestScriptThatLeavesDaemons(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	rest := make(chan string, 1)
	go func() {
		text, err := os.ReadFile(fifo) // until nobody has it open
		rest <- fmt.Sprint(string(text), err)
	}()
	var said strings.Builder
	status, err := runner(t).Run(t.Context(), core.Script{Text: "exec 3>" + fifo + "; sleep 600 & setsid sleep 600 & (setsid sh -c 'sleep 600; true' &); echo here >&3; echo started; exit 2"}, &said)
	if err != nil || status != 2 || said.String() != "started\n" {
		t.Errorf("status %d, %v; it said %q", status, err, &said)
	}
	if text := <-rest; text != "here\n<nil>" {
		t.Errorf("the fifo: %q", text)
	}
}

// Where the first program of a ramdisk has the kernel bury its children, it hears of a
// script's end all the same.
func TestScriptWhoseEndIsNotTold(t *testing.T) {
	signal.Ignore(syscall.SIGCHLD)
	defer signal.Reset(syscall.SIGCHLD)
	var said strings.Builder
	status, err := runner(t).Run(t.Context(), core.Script{Text: "sleep 600 & (exit 4); echo $?; exit 3"}, &said)
	if err != nil || status != 3 || said.String() != "4\n" {
		t.Errorf("status %d, %v; it said %q", status, err, &said)
	}
}
