package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/internal/needs"
)

// TestRehearsal types what `lab up` tells a newcomer to type, on a rack that runs
// meanwhile: a machine is created, used through the real ssh, and released.
func TestRehearsal(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("METALPOOL_OWNER", "alice@desk")
	t.Setenv("TMPDIR", home)
	dir := filepath.Join(home, "lab")
	t.Setenv("METALPOOL_LAB", dir)
	t.Setenv("METALPOOL_URL", filepath.Join(dir, "pool.db"))
	key := filepath.Join(home, ".ssh", "id_ed25519")
	if err := os.Mkdir(filepath.Dir(key), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), needs.Program(t, "ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	if got := command(t, "lab", "status"); got.code != exitFailed || !strings.Contains(got.stderr, "metalpool lab up") {
		t.Errorf("without a lab: %+v", got)
	}
	rack := follow(t, "lab", "up", "--nodes", "3", "-o", "json")
	var up upView
	if err := json.Unmarshal([]byte(rack.until(`"rack"`)), &up); err != nil || len(up.Nodes) != 3 || up.Dir != dir {
		t.Fatalf("lab up says %+v, %v", up, err)
	}
	if got := command(t, "lab", "up"); got.code != exitFailed || !strings.Contains(got.stderr, "another lab runs in") {
		t.Errorf("a second lab in the same folder: %+v", got)
	}

	ok := func(args ...string) string {
		t.Helper()
		got := command(t, args...)
		if got.code != exitOK {
			t.Fatalf("metalpool %s exited with %d: %s", strings.Join(args, " "), got.code, got.stderr)
		}
		return got.stdout + got.stderr
	}
	says := func(want string, args ...string) {
		t.Helper()
		if got := ok(args...); !strings.Contains(got, want) {
			t.Errorf("metalpool %s printed no %q:\n%s", strings.Join(args, " "), want, got)
		}
	}
	image := filepath.Join(dir, "lab.img")
	ok("lab", "image", image)
	says("lab    raw", "image", "add", "lab", "--source", image, "--user", "debian")
	ok("pool", "set", "default", "--image", "lab")
	says("n003 is Available", "node", "enroll", "--from", up.Rack, "--erase", "--wait")

	// A fault of the rack costs a node, not the machine.
	if got := command(t, "lab", "fault", "add", "n001", "write-error", "--after"); got.code != exitUsage {
		t.Errorf("a fault that makes no sense: %+v", got)
	}
	if got := command(t, "lab", "fault", "add", "n001", "explode"); got.code != exitUsage || !strings.Contains(got.stderr, "disk-missing") {
		t.Errorf("a fault that there is not: %+v", got)
	}
	if got := command(t, "lab", "fault", "add", "n009", "cut"); got.code != exitFailed || !strings.Contains(got.stderr, "n001 to n003") {
		t.Errorf("a fault of a server that there is not: %+v", got)
	}
	says("n001: fail on insert, the next 2 times: an HTTP error is answered", "lab", "fault", "add", "n001", "fail", "--on", "insert", "--status", "503", "--count", "2")
	says("1st to 2nd of insert", "lab", "fault", "list")
	says("n002: write-error, every time until it is cleared: a write to a disk fails", "lab", "fault", "add", "n002", "write-error", "--always")
	says(`"machine"`, "lab", "fault", "list", "-o", "json")
	ok("lab", "fault", "clear", "n001")
	ok("lab", "fault", "clear", "--all")
	says("no faults", "lab", "fault", "list")

	says("web-1 is ready after", "machine", "create", "web-1", "--node", "n002")
	says("n002", "lab", "status")
	got := command(t, "machine", "ssh", "web-1", "-i", key, "--", "hostname")
	if got.code != exitOK || strings.TrimSpace(got.stdout) != "web-1" {
		t.Errorf("ssh web-1 hostname: %+v", got)
	}
	if got := command(t, "machine", "ssh", "web-1", "-i", key, "exit", "7"); got.code != 7 || strings.Contains(got.stderr, "metalpool:") {
		t.Errorf("ssh web-1 exit 7: %+v", got)
	}
	if left, err := filepath.Glob(filepath.Join(home, "metalpool-ssh-*")); err != nil || len(left) > 0 {
		t.Errorf("ssh left %q, %v", left, err)
	}
	if got := command(t, "machine", "create", "web-1"); got.code != exitFailed || !strings.Contains(got.stderr, "acquire web-1: alice@desk/web-1") || strings.Contains(got.stderr, "goes on") {
		t.Errorf("the same name again: %+v", got)
	}
	says("On", "machine", "power", "web-1")
	console := follow(t, "node", "console", "n002")
	console.until("system runs")
	says("Off", "machine", "power", "web-1", "off")
	console.until("powers off")
	console.end()
	says("ramdisk starts\n", "node", "console", "n001", "--tail", "1000")
	says("write image", "machine", "show", "web-1")
	says("n002 is Available", "machine", "release", "web-1", "--wait")
	says("Released", "machine", "list", "--all")

	// A server whose cord is pulled is no reason to wait for ever.
	ok("lab", "unplug", "n003")
	says("unplugged", "lab", "status")
	ok("lab", "plug", "n003")
	says("nothing was left to finish", "reconcile")
	says("all invariants hold: 3 nodes, 0 machines", "check")
	says("n002\t", "__complete", "lab", "plug", "")

	rack.end()
	if got := command(t, "lab", "status"); got.code != exitFailed {
		t.Errorf("after the lab: %+v", got)
	}
}
