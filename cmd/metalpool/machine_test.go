package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

func TestPhases(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	at := func(seconds int, ev core.Event) core.Event {
		ev.At = began.Add(time.Duration(seconds) * time.Second)
		return ev
	}
	events := []core.Event{
		at(0, core.Event{Type: core.StateChanged, To: core.Waiting}),
		at(60, core.Event{Type: core.StateChanged, From: core.Waiting, To: core.Allocated, Node: "n1"}),
		at(61, core.Event{Type: core.StateChanged, From: core.Allocated, To: core.Deploying, Node: "n1"}),
		at(100, core.Event{Type: core.StepMet, Step: "boot ramdisk", Node: "n1"}),
		at(110, core.Event{Type: core.Note, Message: "trying again", Node: "n1"}),
		at(130, core.Event{Type: core.StepFailed, Step: "write image", Node: "n1"}),
		// It is gone on without.
		at(131, core.Event{Type: core.StepWarned, Step: "step agent", Node: "n1"}),
		at(131, core.Event{Type: core.StepUndone, Step: "step agent", Node: "n1"}),
		// Another node: its work begins when it is claimed, not when the first failed.
		at(131, core.Event{Type: core.StateChanged, From: core.Deploying, To: core.Cleaning, Node: "n1"}),
		at(132, core.Event{Type: core.StateChanged, From: core.Available, To: core.Allocated, Node: "n2"}),
		at(133, core.Event{Type: core.StateChanged, From: core.Allocated, To: core.Deploying, Node: "n2"}),
		at(183, core.Event{Type: core.StepMet, Step: "boot ramdisk", Node: "n2"}),
		// In use, which is no phase; then its release.
		at(184, core.Event{Type: core.StateChanged, From: core.Deploying, To: core.Deployed, Node: "n2"}),
		at(9000, core.Event{Type: core.StateChanged, From: core.Deployed, To: core.Cleaning, Node: "n2"}),
		at(9005, core.Event{Type: core.StepMet, Step: "power off", Node: "n2"}),
	}
	want := []phase{
		{Name: "Waiting", Node: "n1", Began: began, Seconds: 60},
		{Name: "Allocated", Node: "n1", Began: began.Add(60 * time.Second), Seconds: 1},
		{Name: "boot ramdisk", Node: "n1", Began: began.Add(61 * time.Second), Seconds: 39},
		{Name: "write image", Node: "n1", Began: began.Add(100 * time.Second), Seconds: 30, Failed: true},
		{Name: "step agent", Node: "n1", Began: began.Add(130 * time.Second), Seconds: 1, Failed: true},
		{Name: "Allocated", Node: "n2", Began: began.Add(132 * time.Second), Seconds: 1},
		{Name: "boot ramdisk", Node: "n2", Began: began.Add(133 * time.Second), Seconds: 50},
		{Name: "power off", Node: "n2", Began: began.Add(9000 * time.Second), Seconds: 5},
	}
	if got := phases(events); !slices.Equal(got, want) {
		t.Errorf("phases are\n%v\nwant\n%v", got, want)
	}
	if got := phases(nil); got != nil {
		t.Errorf("no events have the phases %v", got)
	}
}

func TestSSHTrustsTheMachinesKeysAlone(t *testing.T) {
	m := core.Machine{ID: "m-1", Access: core.Access{
		Address: "10.0.1.2", SSHPort: 2222, SSHUser: "debian",
		HostKeys: []string{"ssh-ed25519 AAAA web-1", "ecdsa-sha2-nistp256 BBBB web-1\n"},
	}}
	if got, want := knownHosts(m), "metalpool-m-1 ssh-ed25519 AAAA web-1\nmetalpool-m-1 ecdsa-sha2-nistp256 BBBB web-1\n"; got != want {
		t.Errorf("known_hosts is %q, want %q", got, want)
	}
	got := strings.Join(sshArgs(m, "/tmp/known", "key", []string{"uname", "-a"}), " ")
	for _, want := range []string{
		"UserKnownHostsFile=/tmp/known", "GlobalKnownHostsFile=/dev/null", "HostKeyAlias=metalpool-m-1", "StrictHostKeyChecking=yes",
		"-p 2222", "-l debian", "-i key -o IdentitiesOnly=yes",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("ssh %s has no %q", got, want)
		}
	}
	if !strings.HasSuffix(got, " -- 10.0.1.2 uname -a") {
		t.Errorf("ssh %s does not end with host and command", got)
	}
}

func TestReadKeys(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	if _, err := readKeys(nil); err == nil || !strings.Contains(err.Error(), "give --key") || !strings.Contains(err.Error(), "ssh-keygen") {
		t.Errorf("without any key: %v", err)
	}
	write := func(name, text string) string {
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write(".ssh/id_ed25519.pub", "# my key\nssh-ed25519 AAAA me\n\n")
	write(".ssh/id_rsa.pub", "ssh-rsa BBBB me")
	got, err := readKeys(nil)
	if want := []string{"ssh-ed25519 AAAA me", "ssh-rsa BBBB me"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("the user's keys are %q, %v; want %q", got, err, want)
	}
	two := write("team", "ssh-ed25519 CCCC a\r\nssh-ed25519 DDDD b\r\n")
	got, err = readKeys([]string{two})
	if want := []string{"ssh-ed25519 CCCC a", "ssh-ed25519 DDDD b"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("the team's keys are %q, %v; want %q", got, err, want)
	}
}

func TestReadGiven(t *testing.T) {
	got, err := readGiven(strings.NewReader("#cloud-config\n"), "--init-file", "-")
	if err != nil || string(got) != "#cloud-config\n" {
		t.Errorf("standard input is %q, %v", got, err)
	}
	if _, err := readGiven(bytes.NewReader(make([]byte, maxUserData+1)), "--init-file", "-"); err == nil || !strings.Contains(err.Error(), "larger than 16 MiB") {
		t.Errorf("too much is %v", err)
	}
}
