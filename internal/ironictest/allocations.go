package ironictest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"testing"
	"time"
)

// Installed reports whether Start finds what it starts.
func Installed() bool {
	for _, program := range []string{"ironic", "ironic-dbsync"} {
		if _, err := exec.LookPath(program); err != nil {
			return false
		}
	}
	return true
}

const resourceClass = "bench"

// Stock enrolls nodes without hardware that allocations may take.
func (a *API) Stock(t *testing.T, nodes int) {
	t.Helper()
	for i := range nodes {
		node := a.Call(t, "POST", "/v1/nodes", 201, map[string]any{
			"name": fmt.Sprintf("node-%d", i), "driver": "fake-hardware", "resource_class": resourceClass,
			"deploy_interface": "fake", "boot_interface": "fake", "management_interface": "fake", "power_interface": "fake",
			"bios_interface": "no-bios", "raid_interface": "no-raid", "vendor_interface": "no-vendor", "inspect_interface": "no-inspect",
			"automated_clean": false,
		})
		path := "/v1/nodes/" + node["uuid"].(string)
		a.Call(t, "PUT", path+"/states/provision", 202, map[string]any{"target": "manage"})
		a.Await(t, path, "provision_state", "manageable")
		// One whose power nobody knows is taken by no allocation.
		a.Call(t, "PUT", path+"/states/power", 202, map[string]any{"target": "power off"})
		a.Await(t, path, "power_state", "power off")
		a.Call(t, "PUT", path+"/states/provision", 202, map[string]any{"target": "provide"})
		a.Await(t, path, "provision_state", "available")
	}
}

// AllocateAndFree takes a node under that name, waits until it has it, and gives it back.
func (a *API) AllocateAndFree(ctx context.Context, name string) error {
	if err := a.persist(ctx, "POST", "/v1/allocations", http.StatusCreated, map[string]any{"name": name, "resource_class": resourceClass}); err != nil {
		return err
	}
	path := "/v1/allocations/" + name
	tick := time.NewTicker(10 * time.Millisecond) // it offers nothing to wait on
	defer tick.Stop()
	for {
		_, content, err := a.ask(ctx, "GET", path, nil)
		if err != nil {
			return err
		}
		var allocation struct {
			State string `json:"state"`
			Error string `json:"last_error"`
		}
		if err := json.Unmarshal(content, &allocation); err != nil {
			return fmt.Errorf("%s: %w", content, err)
		}
		switch allocation.State {
		case "active":
			return a.persist(ctx, "DELETE", path, http.StatusNoContent, nil)
		case "error":
			return fmt.Errorf("allocation %s: %s", name, allocation.Error)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// persist asks again while Ironic says that it is busy, as its own clients do.
func (a *API) persist(ctx context.Context, method, path string, want int, body any) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		status, content, err := a.ask(ctx, method, path, body)
		switch {
		case err != nil:
			return err
		case status == want:
			return nil
		case status != http.StatusConflict && status != http.StatusServiceUnavailable:
			return fmt.Errorf("%s %s: answer %d instead of %d: %s", method, path, status, want, content)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
