package deploy_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// heard is what a script was heard to say.
type heard struct {
	strings.Builder
	skipped int64
}

func (h *heard) Skip(bytes int64) { h.skipped += bytes }

func TestScriptsOnAMachine(t *testing.T) {
	for name, tt := range map[string]struct {
		script core.Script
		status int
		says   string
	}{
		"says and ends":           {core.Script{ID: "d-1/a/1", Text: "echo out; echo err >&2; exit 3"}, 3, "out\nerr\n"},
		"has its files":           {core.Script{ID: "d-1/b/1", Text: "cat script; ls", Files: map[string]string{"script": "it's\n$HOME\n"}}, 0, "it's\n$HOME\nscript\n"},
		"has its variables":       {core.Script{ID: "d-1/c/1", Text: `echo "$A-$B"; test ! -e .run/environment`, Env: map[string]string{"A": "a 'b' $c", "B": "two\nlines"}}, 0, "a 'b' $c-two\nlines\n"},
		"is read by what it says": {core.Script{ID: "d-1/d/1", Text: "#!/bin/sh -e\nfalse\necho not here"}, 1, ""},
		"is run for a check":      {core.Script{Text: "echo checked"}, 0, "checked\n"},
		"hangs":                   {core.Script{ID: "d-1/e/1", Text: "echo begins; sleep 600", Limit: core.Span(3 * time.Second)}, 124, "begins\n"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			login := h.logIn(t)
			if tt.script.Limit == 0 {
				tt.script.Limit = core.Span(time.Minute)
			}
			tt.script.User = core.AsLogin
			var said heard
			status, err := login.Run(t.Context(), tt.script, &said)
			if err != nil || status != tt.status || said.String() != tt.says || said.skipped != 0 {
				t.Errorf("status %d, %v; it said %q", status, err, &said)
			}
		})
	}
}

// A machine that goes down ends what asks after a script: that says nothing of the script,
// and is asked again.
func TestScriptWhoseMachineGoesDown(t *testing.T) {
	for name, ends := range map[string]string{"by a status": "exit 130", "by a signal": "kill -TERM $$"} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			login := h.logIn(t)
			script := core.Script{ID: "d-1/a/1", Text: "echo ran", User: core.AsLogin, Limit: core.Span(time.Minute)}
			h.ends = ends
			var said heard
			if _, err := login.Run(t.Context(), script, &said); !core.Is(err, core.Transient) || strings.Contains(err.Error(), ".metalpool") {
				t.Fatalf("got %v", err)
			}
			h.ends = ""
			if status, err := login.Run(t.Context(), script, &said); err != nil || status != 0 || said.String() != "ran\n" {
				t.Errorf("status %d, %v; it said %q", status, err, &said)
			}
		})
	}
}

// Of much the machine itself keeps the first and the last alone.
func TestScriptThatFloods(t *testing.T) {
	const total = 6 + 5_000_000 + 4
	h := newHome(t)
	script := core.Script{ID: "d-1/a/1", Text: "echo first; yes 0123456 | head -c 5000000; echo end", User: core.AsLogin, Limit: core.Span(time.Minute)}
	var said heard
	status, err := h.logIn(t).Run(t.Context(), script, &said)
	if text := said.String(); err != nil || status != 0 || !strings.HasPrefix(text, "first\n0123456\n") || !strings.HasSuffix(text, "0123456\nend\n") || len(text) < 32<<10 || int64(len(text))+said.skipped != total {
		t.Errorf("status %d, %v; it said %d bytes, and %d more", status, err, said.Len(), said.skipped)
	}
	var there int64
	err = filepath.Walk(filepath.Join(h.dir, ".metalpool"), func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			there += info.Size()
		}
		return err
	})
	if err != nil || there > 256<<10 {
		t.Errorf("%d bytes on the machine, %v", there, err)
	}
}

// A script that was begun is not begun again: its end is looked up.
func TestScriptsRunOnce(t *testing.T) {
	h := newHome(t)
	login := h.logIn(t)
	script := core.Script{ID: "d-1/a/1", Text: "echo x >> ../ran; echo said; exit 7", User: core.AsLogin, Limit: core.Span(time.Minute)}
	ran := func() string {
		text, err := os.ReadFile(filepath.Join(h.dir, ".metalpool/steps/ran"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return string(text)
	}
	run := func(s core.Script, want string) (int, error) {
		t.Helper()
		var said heard
		status, err := login.Run(t.Context(), s, &said)
		if said.String() != want {
			t.Errorf("it said %q", &said)
		}
		return status, err
	}
	for range 2 {
		if status, err := run(script, "said\n"); err != nil || status != 7 || ran() != "x\n" {
			t.Fatalf("status %d, %v, it ran %q", status, err, ran())
		}
	}
	// As a machine leaves it that crashed in the middle.
	folder := filepath.Join(h.dir, ".metalpool/steps/d-1-a-1/.run")
	now, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	leave := func(begun string) {
		t.Helper()
		link := filepath.Join(folder, "begun")
		if err := errors.Join(os.RemoveAll(filepath.Join(folder, "status")), os.Remove(link), os.Symlink(begun, link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, is := range map[string]struct{ begun, says string }{
		"the process is gone":     {strings.TrimSpace(string(now)) + "/999999999", "what kept it on the machine is gone: "},
		"the machine restarted":   {"another-boot/" + "1", "the machine has been restarted since: "},
		"nobody knows which boot": {"/999999999", "what kept it on the machine is gone: "},
	} {
		leave(is.begun)
		if status, err := run(script, "said\n"); !errors.Is(err, core.ErrUnknownOutcome) || !strings.HasPrefix(err.Error(), is.says) || ran() != "x\n" {
			t.Fatalf("%s: status %d, %v, it ran %q", name, status, err, ran())
		}
	}
	script.Again = true
	if status, err := run(script, "said\n"); err != nil || status != 7 || ran() != "x\nx\n" {
		t.Fatalf("status %d, %v, it ran %q", status, err, ran())
	}
}

// fifo makes a place where a test and a script wait for each other.
func (h *home) fifo(t *testing.T, name string) string {
	t.Helper()
	at := filepath.Join(h.dir, name)
	if err := syscall.Mkfifo(at, 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

// A daemon that a script has started may keep the script's output open for ever. It is
// to notice nothing of the script's end.
func TestScriptThatLeavesADaemon(t *testing.T) {
	h := newHome(t)
	over, ended := h.fifo(t, "over"), h.fifo(t, "ended")
	text := "( cat " + over + "; echo on; echo well > " + ended + " ) & echo started; exit 2"
	login := h.logIn(t)
	run := func(want string) {
		t.Helper()
		var said heard
		status, err := login.Run(t.Context(), core.Script{ID: "d-1/a/1", Text: text, User: core.AsLogin, Limit: core.Span(time.Minute)}, &said)
		if err != nil || status != 2 || said.String() != want {
			t.Errorf("status %d, %v; it said %q", status, err, &said)
		}
	}
	run("started\n")
	if err := os.WriteFile(over, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(ended); err != nil || string(text) != "well\n" {
		t.Errorf("the daemon ended with %q, %v", text, err)
	}
	run("started\non\n")
}

// A script goes on when its connection breaks, or whoever began it dies. Who comes next
// waits for its end, and hears all that it has said.
func TestScriptWhoseConnectionBreaks(t *testing.T) {
	h := newHome(t)
	login := h.logIn(t)
	begun, over := h.fifo(t, "begun"), h.fifo(t, "over")
	script := core.Script{ID: "d-1/a/1", Text: "echo x >> ../ran; echo before; echo > " + begun + "; cat " + over + "; echo after; echo too >&2; exit 5", User: core.AsLogin, Limit: core.Span(time.Minute)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := login.Run(ctx, script, new(heard))
		ended <- err
	}()
	if _, err := os.ReadFile(begun); err != nil {
		t.Fatal(err)
	}
	cancel() // its connection is closed
	if err := <-ended; err == nil {
		t.Fatal("it ended without its connection")
	}
	login = h.logIn(t)
	for len(h.ended) > 0 {
		<-h.ended
	}
	go func() { _ = os.WriteFile(over, nil, 0o600) }()
	var said heard
	status, err := login.Run(t.Context(), script, &said)
	if err != nil || status != 5 || said.String() != "before\nafter\ntoo\n" {
		t.Errorf("status %d, %v, it said %q", status, err, &said)
	}
	if ran, err := os.ReadFile(filepath.Join(h.dir, ".metalpool/steps/ran")); err != nil || string(ran) != "x\n" {
		t.Errorf("it ran %q, %v", ran, err)
	}
}

// follower hears what a script has said before it ends.
type follower struct {
	heard
	lately chan string
}

func (f *follower) Lately(last []byte) {
	if len(last) > 0 {
		f.lately <- string(last)
	}
}

// What a script has said last is told while it runs, and all of it at its end.
func TestScriptThatIsUnderWay(t *testing.T) {
	h := newHome(t)
	over := h.fifo(t, "over")
	said := follower{lately: make(chan string, 100)}
	lately := make(chan string)
	go func() {
		lately <- <-said.lately
		_ = os.WriteFile(over, nil, 0o600)
	}()
	login, ended := h.logIn(t), make(chan error, 1)
	go func() {
		_, err := login.Run(t.Context(), core.Script{ID: "d-1/a/1", Text: "yes 0123456 | head -c 40000; echo; echo asks; cat " + over + "; echo goes on", User: core.AsLogin, Limit: core.Span(time.Minute)}, &said)
		ended <- err
	}()
	if text := <-lately; !strings.HasSuffix(text, "3456\n\nasks\n") || len(text) != 1000 {
		t.Errorf("it said lately %q", text)
	}
	if err := <-ended; err != nil || !strings.HasSuffix(said.String(), "\nasks\ngoes on\n") {
		t.Errorf("%v; it said %q", err, said.String()[max(0, said.Len()-40):])
	}
}

// What a machine says of a script is not ours.
func TestMachinesThatTellNonsense(t *testing.T) {
	for name, says := range map[string]string{
		"nothing":             "",
		"no number":           "ended x 0 0\n",
		"words of its own":    "welcome to web-1\nended 0 0 0\n",
		"more than there is":  "ended 0 900 9000\nabc",
		"less than nothing":   "ended 0 -1 0\nabc",
		"a status that fails": "ended -7 0 0\n",
		"that it has none":    "none 0 0 0\n",
		"that nobody knows":   "unknown 0 0 0\n",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			h.says = &says
			script := core.Script{ID: "d-1/a/1", Text: "true", User: core.AsLogin, Limit: core.Span(time.Minute)}
			status, err := h.logIn(t).Run(t.Context(), script, new(heard))
			if name == "that nobody knows" && errors.Is(err, core.ErrUnknownOutcome) {
				script.Again = true
				status, err = h.logIn(t).Run(t.Context(), script, new(heard))
			}
			if well := strings.HasPrefix(says, "ended 0 "); (err == nil) != (well || name == "a status that fails") || err != nil && !core.Is(err, core.Backend) {
				t.Errorf("status %d, %v", status, err)
			}
		})
	}
}
