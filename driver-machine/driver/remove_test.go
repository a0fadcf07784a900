package driver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

func TestRemove(t *testing.T) {
	out := printed(t)
	r := newRack()
	d := created(t, r, nil)
	next := later(t, d)
	for range 2 { // a killed rm is run again
		if err := next.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if told := strings.Count(out.String(), "n1: given back"); told != 1 {
		t.Errorf("it was told %d times that the server was given back:\n%s", told, out)
	}
	if m := r.machines[d.AllocationID]; m.State != core.Released || m.Reason != "docker-machine rm" {
		t.Errorf("the allocation is %s: %s", m.State, m.Reason)
	}
	left, err := os.ReadDir(filepath.Join(d.StorePath, "machines", "web-1"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestRemoveBeforeCreateEverRan(t *testing.T) {
	r := newRack()
	d := newMachine(t, r, nil)
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	// The create was on its way all the same.
	wantText(t, d.Create(), "released")
	if m := r.machines[d.AllocationID]; m.State != core.Released {
		t.Errorf("the allocation is %s", m.State)
	}
}

// rancher-machine drops its record of a machine whose rm says "not found".
func TestFailedRemoveNeverSaysTheWordsThatLoseAServer(t *testing.T) {
	for _, text := range []string{"GET /Systems/1: 404 Not Found", "disk not found", "NOT FOUND"} {
		r := newRack()
		d := created(t, r, nil)
		r.before["release"] = func(context.Context) error {
			return &core.Error{Op: "release", Node: "n1", Kind: core.NotFound, Err: errors.New(text)}
		}
		err := d.Remove()
		if err == nil || strings.Contains(strings.ToLower(err.Error()), "not found") {
			t.Errorf("%s: got %v", text, err)
		}
		if _, err := os.Stat(d.GetSSHKeyPath()); err != nil {
			t.Errorf("the machine is still there, its key is not: %v", err)
		}
	}
}

func TestRemoveWithoutAnID(t *testing.T) {
	d := newMachine(t, newRack(), nil)
	d.AllocationID = ""
	wantText(t, d.Remove(), "holds no allocation ID", "metalpool machine list")
}

func TestKeyThatCannotBeRemoved(t *testing.T) {
	d := created(t, newRack(), nil)
	if err := os.Remove(d.GetSSHKeyPath()); err != nil {
		t.Fatal(err)
	}
	// A folder that is not empty stands where the key was.
	if err := os.MkdirAll(filepath.Join(d.GetSSHKeyPath(), "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	wantText(t, d.Remove(), "the server was given back", "id_rsa")
}
