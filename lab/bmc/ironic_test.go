//go:build ironic

package bmc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/internal/needs"
)

// TestIronicDrivesTheBMCs has OpenStack's Ironic, a Redfish client that none of us
// wrote, turn power, set the boot device, and boot from virtual media.
func TestIronicDrivesTheBMCs(t *testing.T) {
	ironic := startIronic(t)
	// Not Lenovo, nor Supermicro: this Ironic takes the first slot of the list, where XCC
	// shows RDOC1, and leaves out BootSourceOverrideEnabled, which an X12 asks for.
	for _, name := range []string{"openbmc", "idrac9", "ilo6", "gigabyte"} {
		t.Run(name, func(t *testing.T) { drive(t, ironic, name) })
	}
}

func drive(t *testing.T, ironic *ironicAPI, manners string) {
	m, err := Named(manners)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, m)
	iso := r.images.URL + "/boot.iso"
	node := ironic.call(t, "POST", "/v1/nodes", 201, map[string]any{
		"name": manners, "driver": "redfish", "deploy_interface": "ramdisk", "boot_interface": "redfish-virtual-media",
		"management_interface": "redfish", "power_interface": "redfish", "bios_interface": "no-bios", "raid_interface": "no-raid",
		"vendor_interface": "no-vendor", "inspect_interface": "no-inspect",
		"driver_info": map[string]any{
			"redfish_address": r.server.URL(), "redfish_system_id": r.sys(), "redfish_username": testUser,
			"redfish_password": testPassword, "redfish_verify_ca": false, "redfish_auth_type": "basic",
			"deploy_kernel": iso, "deploy_ramdisk": iso, "bootloader": iso,
		},
		"instance_info":   map[string]any{"boot_iso": iso, "capabilities": `{"boot_option": "ramdisk"}`},
		"properties":      map[string]any{"capabilities": "boot_mode:uefi"},
		"automated_clean": false,
	})
	path := "/v1/nodes/" + node["uuid"].(string)

	power := func(target, state string) {
		ironic.call(t, "PUT", path+"/states/power", 202, map[string]any{"target": target})
		ironic.await(t, path, "power_state", state)
	}
	ironic.call(t, "PUT", path+"/states/provision", 202, map[string]any{"target": "manage"})
	ironic.await(t, path, "provision_state", "manageable")
	power("power on", "power on")
	if got := r.machine.Power(); got != On {
		t.Fatalf("Ironic says on, the machine is %s", got)
	}
	power("power off", "power off")
	if got := r.machine.Power(); got != Off {
		t.Fatalf("Ironic says off, the machine is %s", got)
	}

	ironic.call(t, "PUT", path+"/management/boot_device", 204, map[string]any{"boot_device": "pxe", "persistent": false})
	device := ironic.call(t, "GET", path+"/management/boot_device", 200, nil)
	if device["boot_device"] != "pxe" || device["persistent"] != false {
		t.Fatalf("the boot device reads back as %v", device)
	}
	power("power on", "power on")
	if b := r.machine.lastBoot(t); b.Source != FromPXE {
		t.Fatalf("after boot device pxe the machine booted %v", b.Source)
	}
	power("power off", "power off")

	ironic.call(t, "PUT", path+"/states/provision", 202, map[string]any{"target": "provide"})
	ironic.await(t, path, "provision_state", "available")
	ironic.call(t, "PUT", path+"/states/provision", 202, map[string]any{"target": "active"})
	ironic.await(t, path, "provision_state", "active")
	b := r.machine.lastBoot(t)
	if b.Source != FromMedia || b.Media == nil {
		t.Fatalf("a deploy from virtual media booted %v", b.Source)
	}
	ironic.call(t, "PUT", path+"/states/provision", 202, map[string]any{"target": "deleted"})
	ironic.await(t, path, "provision_state", "available")
	if inserted := r.bmc.Inserted(); len(inserted) > 0 {
		t.Errorf("after the teardown the media are still inserted: %v", inserted)
	}
	if got := r.machine.Power(); got != Off {
		t.Errorf("after the teardown the machine is %s", got)
	}
	ironic.call(t, "DELETE", path, 204, nil)
}

// ironicAPI is a running Ironic: API and conductor in one process.
type ironicAPI struct {
	url string
	log string
}

const ironicConfig = `[DEFAULT]
auth_strategy = noauth
rpc_transport = none
host = 127.0.0.1
my_ip = 127.0.0.1
log_file = %[1]s/ironic.log
debug = false
enabled_hardware_types = redfish
enabled_bios_interfaces = no-bios
enabled_boot_interfaces = redfish-virtual-media
enabled_console_interfaces = no-console
enabled_deploy_interfaces = ramdisk
enabled_inspect_interfaces = no-inspect
enabled_management_interfaces = redfish
enabled_network_interfaces = noop
default_network_interface = noop
enabled_power_interfaces = redfish
enabled_raid_interfaces = no-raid
enabled_rescue_interfaces = no-rescue
enabled_storage_interfaces = noop
enabled_vendor_interfaces = no-vendor
state_path = %[1]s
tempdir = %[1]s
[database]
connection = sqlite:///%[1]s/ironic.sqlite
[api]
host_ip = 127.0.0.1
port = %[2]d
api_workers = 1
[conductor]
automated_clean = false
sync_power_state_interval = 0
[dhcp]
dhcp_provider = none
[deploy]
http_root = %[1]s/http
http_url = %[3]s
[redfish]
use_swift = false
[pxe]
tftp_root = %[1]s/tftp
images_path = %[1]s/images
instance_master_path = %[1]s/master_images
[oslo_concurrency]
lock_path = %[1]s/locks
`

func startIronic(t *testing.T) *ironicAPI {
	dbsync := needs.Program(t, "ironic-dbsync", "ironic-conductor")
	program := needs.Program(t, "ironic", "ironic-api")
	dir := t.TempDir()
	for _, sub := range []string{"http", "tftp", "images", "master_images", "locks"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	port := freePort(t)
	// Ironic publishes the media in a folder, and leaves it to others to serve that.
	published := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(dir, "http"))))
	t.Cleanup(published.Close)
	config := filepath.Join(dir, "ironic.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, ironicConfig, dir, port, published.URL), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), dbsync, "--config-file", config, "create_schema").CombinedOutput(); err != nil {
		t.Fatalf("ironic-dbsync: %v: %s", err, out)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, "--config-file", config)
	// The BMCs' certificates are their own; a bundle in the environment would overrule
	// redfish_verify_ca.
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "REQUESTS_CA_BUNDLE=") && !strings.HasPrefix(v, "CURL_CA_BUNDLE=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a := &ironicAPI{url: fmt.Sprintf("http://127.0.0.1:%d", port), log: filepath.Join(dir, "ironic.log")}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		stopped := make(chan struct{})
		go func() { _ = cmd.Wait(); close(stopped) }()
		select {
		case <-stopped:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-stopped
		}
		if t.Failed() {
			text, _ := os.ReadFile(a.log)
			t.Logf("Ironic's last words:\n%s\n%s", output.Bytes(), text[max(0, len(text)-8000):])
		}
	})
	a.until(t, "Ironic answers with its redfish driver", time.Minute, func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url+"/v1/drivers/redfish", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return a
}

func freePort(t *testing.T) int {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// call makes one request. A node that the conductor is busy with answers 409, which
// passes.
func (a *ironicAPI) call(t *testing.T, method, path string, want int, body any) map[string]any {
	t.Helper()
	var answer map[string]any
	a.until(t, method+" "+path, time.Minute, func() bool {
		text, _ := json.Marshal(body)
		req, err := http.NewRequestWithContext(t.Context(), method, a.url+path, bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-OpenStack-Ironic-API-Version", "1.81")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		content, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusConflict {
			return false
		}
		if resp.StatusCode != want {
			t.Fatalf("%s %s: answer %d instead of %d: %s", method, path, resp.StatusCode, want, content)
		}
		if len(content) > 0 {
			if err := json.Unmarshal(content, &answer); err != nil {
				t.Fatal(err)
			}
		}
		return true
	})
	return answer
}

// await waits until a field of the node has a value; a failure that Ironic records
// ends the test.
func (a *ironicAPI) await(t *testing.T, path, field, want string) {
	t.Helper()
	var last map[string]any
	a.until(t, field+" "+want, 3*time.Minute, func() bool {
		last = a.call(t, "GET", path, 200, nil)
		if state, _ := last["provision_state"].(string); strings.Contains(state, "fail") || last["last_error"] != nil {
			t.Fatalf("while waiting for %s %s: %v, %v", field, want, state, last["last_error"])
		}
		return last[field] == want
	})
}

// until looks again and again; Ironic offers nothing to wait on.
func (a *ironicAPI) until(t *testing.T, what string, limit time.Duration, done func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}
