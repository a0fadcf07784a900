package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/qemu"
)

// A rack that moved says how a pool that has it enrolled is told, in commands that this
// program takes.
func TestMovedRackSaysHowToTellThePool(t *testing.T) {
	dir := t.TempDir()
	first, err := lab.Up(t.Context(), lab.Config{Dir: dir, Nodes: 2})
	if err != nil {
		t.Fatal(err)
	}
	other, err := lab.Up(t.Context(), lab.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	from, to := first.Net(), other.Net()
	if err := errors.Join(first.Close(), other.Close()); err != nil {
		t.Fatal(err)
	}
	rack, err := lab.Up(t.Context(), lab.Config{Dir: dir, Net: to})
	if err != nil {
		t.Fatal(err)
	}
	defer rack.Close()
	text := movedText(rack.MovedFrom(), rack)
	begin, _ := strings.CutSuffix(to, "0.0/16")
	for _, want := range []string{
		"moved from " + from + " to " + to,
		"metalpool node set n001 --bmc https://" + begin + "0.11:8443 --address " + begin + "0.11\n",
		"metalpool node set n002 --bmc https://" + begin + "0.12:8443 --address " + begin + "0.12\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	root := newRoot(&app{})
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "  metalpool") {
			checkExample(t, root, "metalpool lab up", line)
		}
	}
}

// What `lab up` prints works in a terminal that knows nothing of the first one's flags.
func TestLabUpHintsNameTheFolder(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("METALPOOL_LAB", "")
	dir := filepath.Join(home, "a lab")
	rack := follow(t, "lab", "up", "--nodes", "1", "--dir", dir)
	rack.until("export METALPOOL_LAB='" + dir + "'")
	rack.until("export METALPOOL_URL='" + filepath.Join(dir, "pool.db") + "'")
	rack.until("ssh-keygen -t ed25519")
	rack.until("metalpool node enroll --from '" + filepath.Join(dir, "rack.yaml") + "'")
	rack.until("watch")
	rack.end()

	key := filepath.Join(home, ".ssh", "id_ed25519.pub")
	if err := errors.Join(os.Mkdir(filepath.Dir(key), 0o700), os.WriteFile(key, []byte("ssh-ed25519 AAAA me"), 0o600)); err != nil {
		t.Fatal(err)
	}
	usual := filepath.Join(home, ".local", "share", "metalpool", "lab")
	t.Setenv("METALPOOL_URL", "")
	if got := command(t, "node", "list"); got.code != exitFailed || strings.Contains(got.stderr, "lab") {
		t.Errorf("no pool, no lab: %+v", got)
	}
	rack = follow(t, "lab", "up", "--nodes", "1")
	rack.until("1 node, n001, at 127.", ".0.11. Ctrl-C ends the lab")
	if line := rack.until("export"); line != "  export METALPOOL_URL="+filepath.Join(usual, "pool.db") {
		t.Errorf("where the lab is in its usual folder: %q", line)
	}
	export := "export METALPOOL_URL=" + filepath.Join(usual, "pool.db")
	if got := command(t, "node", "list"); got.code != exitFailed || !strings.Contains(got.stderr, "a lab runs, whose pool is '"+export+"'") {
		t.Errorf("no pool, and a lab: %+v", got)
	}
	if got := command(t, "--metalpool-url", filepath.Join(home, "mine.db"), "node", "list"); got.code != exitFailed || strings.Contains(got.stderr, "lab runs") {
		t.Errorf("another pool, and a lab: %+v", got)
	}
	if got := command(t, "pool", "set", "default", "--quota", "3"); got.code != exitOK {
		t.Error(got.stderr)
	}
	if got := command(t, "node", "list"); got.code != exitOK || !strings.Contains(got.stderr, "A lab runs, whose pool is another: "+export) {
		t.Errorf("a pool without nodes, and a lab: %+v", got)
	}
	for line := range rack.lines {
		if strings.Contains(line, "ssh-keygen") {
			t.Errorf("to somebody who has a key: %q", line)
		}
		if strings.Contains(line, "watch") {
			break
		}
	}
	rack.end()

	got := command(t, "lab", "status", "--dir", home)
	if got.code != exitFailed || !strings.Contains(got.stderr, "--dir") || !strings.Contains(got.stderr, "METALPOOL_LAB") {
		t.Errorf("where no lab runs: %+v", got)
	}
}

func TestRackText(t *testing.T) {
	for accel, want := range map[qemu.Accel]string{
		"":       "2 nodes, a to b, at x.",
		qemu.KVM: "2 nodes, a to b, at x. KVM runs their processors.",
		qemu.TCG: "2 nodes, a to b, at x. Their processors are emulated, about ten times slower than with KVM.",
	} {
		if got := rackText(2, stretch("a", "b"), stretch("x", "x"), accel); got != want {
			t.Errorf("under %q: %q", accel, got)
		}
	}
}

func TestTheMadeImageIsFound(t *testing.T) {
	t.Chdir(t.TempDir())
	if got := madeImage(); got != "" {
		t.Errorf("found %s, where there is none", got)
	}
	if err := errors.Join(os.Mkdir("bin", 0o700), os.WriteFile("bin/debian-12-docker.raw", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if got := madeImage(); err != nil || got != filepath.Join(here, "bin", "debian-12-docker.raw") {
		t.Errorf("found %q, %v", got, err)
	}
}
