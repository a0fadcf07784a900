package credential

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tell")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	return path
}

func content(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestResolve(t *testing.T) {
	t.Setenv("BMC_TEST", "calvin")
	t.Setenv("VAULT_TOKEN", "t0ken-of-mine")
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		ref, want string
		kind      core.Kind
		says      string
	}{
		{ref: "env:BMC_TEST", want: "calvin"},
		{ref: "file:" + content(t, "calvin"), want: "calvin"},
		{ref: "file:" + content(t, "calvin\n"), want: "calvin"},
		{ref: "file:" + content(t, " cal vin \r\n"), want: " cal vin "},
		{ref: "exec:" + script(t, "echo calvin"), want: "calvin"},
		{ref: "exec:echo a b", want: "a b"},
		{ref: "exec:echo $HOME;ls `id` *", want: "$HOME;ls `id` *"}, // no shell
		{ref: "exec:" + script(t, "cat; echo calvin; echo careful >&2"), want: "calvin"},

		{ref: "env:BMC_TEST_NONE", kind: core.Denied, says: "not set in this process"},
		{ref: "file:/nowhere/at/all", kind: core.Denied, says: "no such file"},
		{ref: "file:" + t.TempDir(), kind: core.Denied, says: "not a regular file"},
		{ref: "file:" + fifo, kind: core.Denied, says: "not a regular file"},
		{ref: "file:" + content(t, ""), kind: core.Invalid, says: "it is empty"},
		{ref: "file:" + content(t, "\n"), kind: core.Invalid, says: "it is empty"},
		{ref: "file:" + content(t, "s3cret\nanother"), kind: core.Invalid, says: "more than one line"},
		{ref: "file:" + content(t, strings.Repeat("s3cret", 1000)), kind: core.Invalid, says: "longer than a password"},
		{ref: "exec:" + script(t, "yes s3cret | head -c 9999999"), kind: core.Invalid, says: "longer than a password"},
		{ref: "exec:/nowhere/at/all", kind: core.Denied, says: "no such file"},
		{ref: "exec:no-such-program-anywhere", kind: core.Denied, says: "not found"},
		{ref: "exec:" + script(t, "exit 3"), kind: core.Denied, says: "exit status 3"},
		{ref: "exec:" + script(t, "echo s3cret; echo first >&2; echo \"no s3cret for t0ken-of-mine, password=hunter2\" >&2; exit 1"), kind: core.Denied, says: "exit status 1: no … for …, password=…"},
		{ref: "exec:" + script(t, "kill -9 $$"), kind: core.Denied, says: "killed"},
		{ref: "what", kind: core.Invalid, says: "no reference"},
	} {
		got, err := Resolve(t.Context(), core.Reference(test.ref))
		if got != test.want || (err != nil) != (test.kind != "") {
			t.Errorf("%s: %q, %v", test.ref, got, err)
			continue
		}
		if err == nil {
			continue
		}
		if !core.Is(err, test.kind) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "password at "+test.ref) {
			t.Errorf("%s: %v; want %s: %s", test.ref, err, test.kind, test.says)
		}
		for _, secret := range []string{"s3cret", "t0ken", "hunter2"} {
			if strings.Contains(strings.ReplaceAll(err.Error(), test.ref, ""), secret) {
				t.Errorf("%s: %v tells a secret", test.ref, err)
			}
		}
	}
}

// What is found to be missing ahead is what would be missing; and nothing is read or run.
func TestFindable(t *testing.T) {
	t.Setenv("BMC_TEST", "calvin")
	ran := filepath.Join(t.TempDir(), "ran")
	for ref, says := range map[string]string{
		"env:BMC_TEST":                          "",
		"file:" + content(t, "calvin"):          "",
		"exec:" + script(t, "touch "+ran):       "",
		"exec:sh -c 'touch " + ran + "'":        "",
		"exec:bin/sh":                           "", // from where programs are run
		"env:BMC_TEST_NONE":                     "env:BMC_TEST_NONE: that variable is not set in this process; set it for every process",
		"file:/nowhere/at/all":                  "file:/nowhere/at/all: stat /nowhere/at/all: no such file or directory; put the password there",
		"file:" + t.TempDir():                   "is not a regular file",
		"exec:/nowhere/at/all --now":            "/nowhere/at/all: no such file or directory; put the program there",
		"exec:no-such-program-anywhere":         "executable file not found in $PATH; put the program there",
		"exec:" + content(t, "it does not run"): "permission denied",
	} {
		err := Findable(core.Reference(ref))
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", ref, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "calvin") {
			t.Errorf("%s: %v tells a secret", ref, err)
		}
	}
	if _, err := os.Stat(ran); !os.IsNotExist(err) {
		t.Error("a program was run")
	}
}

func TestAProgramThatTakesTooLong(t *testing.T) {
	_, err := run(t.Context(), []string{"sleep", "1000"}, time.Millisecond)
	if !core.Is(err, core.Timeout) || !strings.Contains(err.Error(), "sleep did not answer within 1ms") {
		t.Errorf("got %v", err)
	}
}

func TestACallerWhoGoesEndsTheProgramAndItsChildren(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	path := script(t, fmt.Sprintf("sleep 1000 & echo $! > %s; wait", fifo))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := Resolve(ctx, core.Reference("exec:"+path))
		ended <- err
	}()
	text, err := os.ReadFile(fifo) // waits for the script
	if err != nil {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Sscan(string(text), &child); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !strings.Contains(fmt.Sprint(err), "context canceled") {
		t.Errorf("got %v", err)
	}
	for { // it is nobody's child of ours, so that nothing tells of its end
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		runtime.Gosched()
	}
}
