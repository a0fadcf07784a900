package driver

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/docker/machine/libmachine/drivers"

	"github.com/metalpool/metalpool/core"
)

// later is the driver of a later command: it knows config.json, and its environment.
func later(t *testing.T, d *Driver) *Driver {
	t.Helper()
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	next := New(d.pools)
	var asInterface drivers.Driver = next // as libmachine does it
	if err := json.Unmarshal(raw, &asInterface); err != nil {
		t.Fatal(err)
	}
	if asInterface != drivers.Driver(next) {
		t.Fatal("config.json was read into another driver")
	}
	return next
}

func TestConfigKeepsTheMachine(t *testing.T) {
	d := created(t, newRack(), map[string]any{"pool": "ci", "labels": "rack=r1", "wait-clean": true})
	next := later(t, d)
	if next.AllocationID != d.AllocationID || next.Pool != "ci" || next.Labels != "rack=r1" || !next.WaitClean {
		t.Errorf("config.json kept %+v", next)
	}
	if !reflect.DeepEqual(next.BaseDriver, d.BaseDriver) {
		t.Errorf("config.json kept %+v, want %+v", next.BaseDriver, d.BaseDriver)
	}
	if ip, err := next.GetIP(); err != nil || ip != "192.0.2.7" {
		t.Errorf("GetIP: %q, %v", ip, err)
	}
	if host, err := next.GetSSHHostname(); err != nil || host != "192.0.2.7" {
		t.Errorf("GetSSHHostname: %q, %v", host, err)
	}
	if port, err := next.GetSSHPort(); err != nil || port != 2207 {
		t.Errorf("GetSSHPort: %d, %v", port, err)
	}
	if user := next.GetSSHUsername(); user != "debian" {
		t.Errorf("GetSSHUsername: %q", user)
	}
	if url, err := next.GetURL(); err != nil || url != "tcp://192.0.2.7:12376" {
		t.Errorf("GetURL: %q, %v", url, err)
	}
	if path, want := next.GetSSHKeyPath(), filepath.Join(d.StorePath, "machines", "web-1", "id_rsa"); path != want {
		t.Errorf("GetSSHKeyPath: %q, want %q", path, want)
	}
}

// docker-machine asks a driver for these before it is created, too; the answer must
// not become the order.
func TestGettersLeaveTheOrderAlone(t *testing.T) {
	d := newMachine(t, newRack(), nil)
	user := d.GetSSHUsername()
	port, err := d.GetSSHPort()
	if user != "root" || port != 22 || err != nil {
		t.Errorf("user %q, port %d, %v", user, port, err)
	}
	if o, err := d.order(); err != nil || o.SSHUser != "" || o.SSHPort != 0 {
		t.Errorf("the order now asks for user %q and port %d: %v", o.SSHUser, o.SSHPort, err)
	}
}

func TestEnvironmentOverlaysConfig(t *testing.T) {
	t.Setenv("METALPOOL_TOKEN", "first")
	r := newRack()
	d := newMachine(t, r, map[string]any{"url": "https://a.example.com", "token": "first", "wait-clean": false})
	t.Setenv("METALPOOL_TOKEN", "rotated")
	t.Setenv("METALPOOL_WAIT_CLEAN", "true")
	t.Setenv("METALPOOL_URL", "https://b.example.com")
	next := later(t, d)
	if err := next.Remove(); err != nil {
		t.Fatal(err)
	}
	if r.token != "rotated" {
		t.Errorf("the pool was opened with the token %q", r.token)
	}
	if r.url != "https://a.example.com" {
		t.Errorf("opened %s: the machine is in the pool where it was created", r.url)
	}
	if r.count("release and wait") != 1 {
		t.Errorf("calls %v: METALPOOL_WAIT_CLEAN at rm was not heard", r.calls)
	}
}

func TestNewConfigOpensThePoolAnew(t *testing.T) {
	r := newRack()
	d := created(t, r, nil)
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, d); err != nil {
		t.Fatal(err)
	}
	if d.service != nil || r.count("close") != 1 {
		t.Errorf("the pool that was opened by the old configuration is still in use; calls %v", r.calls)
	}
}

func TestBadConfigIsRefused(t *testing.T) {
	if err := json.Unmarshal([]byte(`{"CPUs":"many"}`), New(nil)); err == nil {
		t.Error("accepted")
	}
}

// The driver's part of the invariant: nothing secret in config.json or in what is
// printed; a failed create may post its whole log to a third party.
func TestNoSecretLeaks(t *testing.T) {
	out := printed(t)
	const token, userData = "t0k3n-s3cr3t", "#cloud-config\npassword: hunter2\n"
	file := filepath.Join(t.TempDir(), "init.yaml")
	if err := os.WriteFile(file, []byte(userData), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRack()
	d := newMachine(t, r, map[string]any{"url": "https://pool.example.com", "token": token, "init-file": file})
	var texts []string
	keep := func(err error) {
		if err != nil {
			texts = append(texts, err.Error())
		}
	}
	snapshot := func() {
		raw, err := json.Marshal(d)
		keep(err)
		texts = append(texts, string(raw))
	}
	snapshot()
	keep(d.PreCreateCheck())
	keep(d.Create())
	snapshot()
	private := string(d.key.private)
	if string(r.orders[d.AllocationID].UserData) != userData {
		t.Error("the user data did not arrive: this test would prove nothing")
	}
	d2 := newMachine(t, r, map[string]any{"token": token, "init-file": file})
	r.before["create"] = func(context.Context) error {
		return &core.Error{Op: "create", Kind: core.Backend, Err: os.ErrInvalid}
	}
	keep(d2.Create())
	keep(d.Remove())
	snapshot()
	all := strings.Join(append(texts, out.String()), "\n")
	if !strings.Contains(all, "AllocationID") {
		t.Fatal("nothing was collected")
	}
	for what, secret := range map[string]string{
		"token": token, "user data": "hunter2", "private key": strings.Split(private, "\n")[2],
		"second private key": strings.Split(string(d2.key.private), "\n")[2],
	} {
		if strings.Contains(all, secret) {
			t.Errorf("the %s leaks: %s", what, all)
		}
	}
}

func TestTokenThatLaterCommandsWillMissIsToldOf(t *testing.T) {
	for _, test := range []struct {
		flag, environment string
		want              bool
	}{{"", "", false}, {"a", "", true}, {"a", "b", true}, {"a", "a", false}} {
		t.Run(test.flag+"/"+test.environment, func(t *testing.T) {
			t.Setenv("METALPOOL_TOKEN", test.environment)
			out := printed(t)
			if err := newMachine(t, newRack(), map[string]any{"token": test.flag}).PreCreateCheck(); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(out.String(), "METALPOOL_TOKEN"); got != test.want {
				t.Errorf("printed %q", out)
			}
		})
	}
}
