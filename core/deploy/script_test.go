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

func TestScriptsOnAMachine(t *testing.T) {
	for name, tt := range map[string]struct {
		script core.Script
		status int
		says   string
	}{
		"says and ends":           {core.Script{ID: "d-1/a/1", Text: "echo out; echo err >&2; exit 3"}, 3, "out"},
		"has its files":           {core.Script{ID: "d-1/b/1", Text: "cat a.conf", Files: map[string]string{"a.conf": "it's\n$HOME"}}, 0, "it's\n$HOME"},
		"has its variables":       {core.Script{ID: "d-1/c/1", Text: `echo "$A-$B"; test ! -e environment`, Env: map[string]string{"A": "a 'b' $c", "B": "two\nlines"}}, 0, "a 'b' $c-two\nlines"},
		"is read by what it says": {core.Script{ID: "d-1/d/1", Text: "#!/bin/sh -e\nfalse\necho not here"}, 1, ""},
		"is run for a check":      {core.Script{Text: "echo checked"}, 0, "checked"},
		"hangs":                   {core.Script{ID: "d-1/e/1", Text: "sleep 600", Limit: core.Span(time.Second)}, 124, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			login := h.logIn(t)
			if tt.script.Limit == 0 {
				tt.script.Limit = core.Span(time.Minute)
			}
			tt.script.User = core.AsLogin
			var said strings.Builder
			status, err := login.Run(t.Context(), tt.script, &said)
			if err != nil || status != tt.status || !strings.Contains(said.String(), tt.says) {
				t.Errorf("status %d, %v; it said %q", status, err, &said)
			}
		})
	}
}

// A script that was begun is not begun again: its end is looked up.
func TestScriptsRunOnce(t *testing.T) {
	h := newHome(t)
	login := h.logIn(t)
	script := core.Script{ID: "d-1/a/1", Text: "echo x >> ../ran; exit 7", User: core.AsLogin, Limit: core.Span(time.Minute)}
	ran := func() string {
		text, err := os.ReadFile(filepath.Join(h.dir, ".metalpool/steps/ran"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return string(text)
	}
	run := func(s core.Script) (int, error) {
		t.Helper()
		return login.Run(t.Context(), s, new(strings.Builder))
	}
	for range 2 {
		if status, err := run(script); err != nil || status != 7 || ran() != "x\n" {
			t.Fatalf("status %d, %v, it ran %q", status, err, ran())
		}
	}
	// As a machine leaves it that crashed in the middle.
	folder := filepath.Join(h.dir, ".metalpool/steps/d-1-a-1")
	if err := errors.Join(os.Remove(filepath.Join(folder, "status")), os.WriteFile(filepath.Join(folder, "pid"), []byte("999999999\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if status, err := run(script); !errors.Is(err, core.ErrUnknownOutcome) || ran() != "x\n" {
		t.Fatalf("status %d, %v, it ran %q", status, err, ran())
	}
	script.Again = true
	if status, err := run(script); err != nil || status != 7 || ran() != "x\nx\n" {
		t.Fatalf("status %d, %v, it ran %q", status, err, ran())
	}
}

// A daemon that a script has started may keep the script's output open for ever.
func TestScriptThatLeavesADaemon(t *testing.T) {
	h := newHome(t)
	h.lingers = make(chan struct{})
	defer close(h.lingers)
	var said strings.Builder
	status, err := h.logIn(t).Run(t.Context(), core.Script{ID: "d-1/a/1", Text: "echo started; exit 2", User: core.AsLogin, Limit: core.Span(time.Minute)}, &said)
	if err != nil || status != 2 || said.String() != "started\n" {
		t.Errorf("status %d, %v; it said %q", status, err, &said)
	}
}

// A script goes on when its connection breaks; who comes next waits for its end.
func TestScriptWhoseConnectionBreaks(t *testing.T) {
	h := newHome(t)
	login := h.logIn(t)
	begun, over := filepath.Join(h.dir, "begun"), filepath.Join(h.dir, "over")
	if err := errors.Join(syscall.Mkfifo(begun, 0o600), syscall.Mkfifo(over, 0o600)); err != nil {
		t.Fatal(err)
	}
	script := core.Script{ID: "d-1/a/1", Text: "echo > " + begun + "; cat " + over + "; exit 5", User: core.AsLogin, Limit: core.Span(time.Minute)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := login.Run(ctx, script, new(strings.Builder))
		ended <- err
	}()
	if _, err := os.ReadFile(begun); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Fatal("it ended without its connection")
	}
	login = h.logIn(t)
	for len(h.ended) > 0 {
		<-h.ended
	}
	go func() {
		<-h.ended // the first look, which finds it running
		_ = os.WriteFile(over, nil, 0o600)
	}()
	var said strings.Builder
	if status, err := login.Run(t.Context(), script, &said); err != nil || status != 5 || !strings.Contains(said.String(), "nobody listened") {
		t.Errorf("status %d, %v, it said %q", status, err, &said)
	}
}
