// Package ironictest runs Debian's Ironic for tests: one process, without authentication,
// on loopback.
package ironictest

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

// API is a running Ironic: API and conductor in one process.
type API struct {
	url string
	log string
}

const config = `[DEFAULT]
auth_strategy = noauth
rpc_transport = none
host = 127.0.0.1
my_ip = 127.0.0.1
log_file = %[1]s/ironic.log
debug = false
enabled_hardware_types = redfish,fake-hardware
enabled_bios_interfaces = no-bios
enabled_boot_interfaces = redfish-virtual-media,fake
enabled_console_interfaces = no-console
enabled_deploy_interfaces = ramdisk,fake
enabled_inspect_interfaces = no-inspect
enabled_management_interfaces = redfish,fake
enabled_network_interfaces = noop
default_network_interface = noop
enabled_power_interfaces = redfish,fake
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

// Start starts one whose database is in SQLite, and ends it with the test.
func Start(t *testing.T) *API {
	t.Helper()
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
	file := filepath.Join(dir, "ironic.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, dir, port, published.URL), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), dbsync, "--config-file", file, "create_schema").CombinedOutput(); err != nil {
		t.Fatalf("ironic-dbsync: %v: %s", err, out)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, "--config-file", file)
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
	a := &API{url: fmt.Sprintf("http://127.0.0.1:%d", port), log: filepath.Join(dir, "ironic.log")}
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

// Call makes one request. A node that the conductor is busy with answers 409, which
// passes.
func (a *API) Call(t *testing.T, method, path string, want int, body any) map[string]any {
	t.Helper()
	var answer map[string]any
	a.until(t, method+" "+path, time.Minute, func() bool {
		status, content, err := a.ask(t.Context(), method, path, body)
		if err != nil {
			t.Fatal(err)
		}
		if status == http.StatusConflict {
			return false
		}
		if status != want {
			t.Fatalf("%s %s: answer %d instead of %d: %s", method, path, status, want, content)
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

// ask makes one request, and says what was answered.
func (a *API) ask(ctx context.Context, method, path string, body any) (status int, content []byte, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-OpenStack-Ironic-API-Version", "1.81")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	content, err = io.ReadAll(resp.Body)
	return resp.StatusCode, content, err
}

// Await waits until a field of the node has a value; a failure that Ironic records
// ends the test.
func (a *API) Await(t *testing.T, path, field, want string) {
	t.Helper()
	var last map[string]any
	a.until(t, field+" "+want, 3*time.Minute, func() bool {
		last = a.Call(t, "GET", path, 200, nil)
		if state, _ := last["provision_state"].(string); strings.Contains(state, "fail") || last["last_error"] != nil {
			t.Fatalf("while waiting for %s %s: %v, %v", field, want, state, last["last_error"])
		}
		return last[field] == want
	})
}

// until looks again and again; Ironic offers nothing to wait on.
func (a *API) until(t *testing.T, what string, limit time.Duration, done func() bool) {
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
