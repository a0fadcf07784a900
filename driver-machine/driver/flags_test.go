package driver

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/docker/machine/libmachine/drivers"
	"github.com/docker/machine/libmachine/mcnflag"

	"github.com/metalpool/metalpool/core"
)

// The names are what users have in scripts: they never change.
func TestFlagNames(t *testing.T) {
	want := strings.Fields("url token owner pool node image profile ssh-user ssh-port labels arch cpus memory disk nic gpus place init-file post-deploy wait wait-clean acquire-timeout deploy-timeout ttl")
	var got []string
	for _, f := range New(nil).GetCreateFlags() {
		name, found := strings.CutPrefix(f.String(), "metalpool-")
		if !found {
			t.Errorf("--%s does not begin with the driver's name", f)
		}
		got = append(got, name)
		env := reflect.ValueOf(f).FieldByName("EnvVar").String()
		if want := "METALPOOL_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")); env != want {
			t.Errorf("--%s is read from %s, want %s", f, env, want)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("flags\n got %v\nwant %v", got, want)
	}
}

func TestManualNamesEveryFlag(t *testing.T) {
	manual, err := os.ReadFile(filepath.Join("..", "..", "docs", "docker-machine.md"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for line := range strings.Lines(string(manual)) {
		if row, found := strings.CutPrefix(line, "| `--"); found {
			name, _, _ := strings.Cut(row, "`")
			rows = append(rows, name)
		}
	}
	var flags []string
	for _, f := range New(nil).GetCreateFlags() {
		flags = append(flags, f.String())
	}
	if !reflect.DeepEqual(rows, flags) {
		t.Errorf("docs/docker-machine.md has\n%v\nand the driver\n%v", rows, flags)
	}
}

// What Rancher and docker-machine make of some flags is not what they are for.
func TestFlagsAvoidTraps(t *testing.T) {
	traps := regexp.MustCompile(`user-?data|cloud-?config|-os$`)
	for _, f := range New(nil).GetCreateFlags() {
		if traps.MatchString(f.String()) {
			t.Errorf("--%s: Rancher gives this name a meaning of its own", f)
		}
		if _, list := f.(mcnflag.StringSliceFlag); list {
			t.Errorf("--%s is a list, which arrives empty from the environment", f)
		}
		if field := reflect.ValueOf(f); field.Kind() != reflect.Struct {
			t.Errorf("--%s is a %T, which docker-machine does not know", f, f)
		}
	}
}

func TestOrderFromFlags(t *testing.T) {
	t.Setenv("METALPOOL_OWNER", "team-a")
	file := filepath.Join(t.TempDir(), "init.yaml")
	if err := os.WriteFile(file, []byte("#cloud-config\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newMachine(t, newRack(), map[string]any{
		"url": "https://pool.example.com:8443", "token": "t0k3n", "pool": "ci", "node": "n7", "image": "debian-12",
		"ssh-user": "admin", "ssh-port": 2222, "labels": "rack=r1,gpu exists", "arch": "x86_64", "cpus": 16,
		"memory": "64GiB", "disk": "2x480GB,ssd", "nic": "2x25G", "gpus": "2xA100", "place": "spread=rack",
		"init-file": file, "wait": "30m", "wait-clean": true, "acquire-timeout": "1m", "deploy-timeout": "45m", "ttl": "8h",
	})
	got, err := d.order()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(got.ID), "dm-") || len(got.ID) < 20 {
		t.Errorf("the allocation's ID is %q", got.ID)
	}
	if len(got.Keys) != 1 || !strings.HasPrefix(got.Keys[0], "ssh-ed25519 ") || !strings.HasSuffix(got.Keys[0], " web-1") {
		t.Errorf("the keys are %q", got.Keys)
	}
	want := core.Order{
		ID: got.ID, Keys: got.Keys, Owner: "team-a", Name: "web-1", Image: "debian-12", SSHUser: "admin", SSHPort: 2222,
		UserData: []byte("#cloud-config\n"), Wait: 30 * time.Minute, AcquireTimeout: time.Minute, DeployTimeout: 45 * time.Minute, TTL: 8 * time.Hour,
		Request: core.Request{
			Pool: "ci", Node: "n7", Arch: "amd64", CPUs: 16, Memory: 64 * core.GiB, GPUs: 2, GPUModel: "A100",
			Labels: []core.Selector{{Label: "rack", Op: core.OpEqual, Values: []string{"r1"}}, {Label: "gpu", Op: core.OpExists}},
			Disks:  []core.DiskNeed{{Count: 2, Size: 480e9, Kind: core.SSD}},
			NICs:   []core.NICNeed{{Count: 2, Mbps: 25_000}},
			Place:  core.Placement{Key: "rack", Mode: core.Spread},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("order\n got %+v\nwant %+v", got, want)
	}
	again, err := d.order()
	if err != nil || !reflect.DeepEqual(again, got) {
		t.Errorf("Check and Create would ask for different machines:\n%+v\n%+v, %v", got, again, err)
	}
	if d.URL != "https://pool.example.com:8443" || d.Token != "t0k3n" || !d.WaitClean {
		t.Errorf("url %q, token %q, wait-clean %v", d.URL, d.Token, d.WaitClean)
	}
}

func TestDefaultFlagsAskForAnyServer(t *testing.T) {
	d := newMachine(t, newRack(), nil)
	o, err := d.order()
	if err != nil {
		t.Fatal(err)
	}
	if want := (core.Request{Pool: core.DefaultPool}); !reflect.DeepEqual(o.Request, want) {
		t.Errorf("request %+v, want %+v", o.Request, want)
	}
	if o.AcquireTimeout != 5*time.Minute || o.DeployTimeout != 2*time.Hour || o.TTL != 0 || o.Wait != 0 || o.UserData != nil {
		t.Errorf("order %+v", o)
	}
	if o.Owner != core.DefaultOwner() {
		t.Errorf("owner %q, want %q", o.Owner, core.DefaultOwner())
	}
}

func TestEachMachineHasItsOwnID(t *testing.T) {
	a, b := newMachine(t, newRack(), nil), newMachine(t, newRack(), nil)
	if a.AllocationID == b.AllocationID {
		t.Errorf("two machines have the ID %s", a.AllocationID)
	}
}

func TestBadFlags(t *testing.T) {
	dir := t.TempDir()
	empty, blank := filepath.Join(dir, "empty"), filepath.Join(dir, "blank")
	for file, text := range map[string]string{empty: "", blank: " \n\t\r\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		flag  string
		value any
		says  []string
	}{
		{"labels", "rack", []string{"read labels: ", `"rack" is a label without a condition`, "write it like this"}},
		{"arch", "vax", []string{`read architecture: "vax" is no architecture`, "amd64"}},
		{"cpus", -1, []string{"--metalpool-cpus", "-1"}},
		{"memory", "64", []string{`"64" is not a size`, "64GiB"}},
		{"disk", "two", []string{`read disks: "two" has "two"`}},
		{"nic", "fast", []string{`read NICs: "fast"`}},
		{"gpus", "0", []string{`read GPUs: "0`}},
		{"place", "rack", []string{`read place: "rack"`, "spread=rack"}},
		{"wait", "soon", []string{"--metalpool-wait", `"soon"`, "30m"}},
		{"acquire-timeout", "5", []string{"--metalpool-acquire-timeout"}},
		{"ttl", "8", []string{"--metalpool-ttl"}},
		{"deploy-timeout", "-1h", []string{"--metalpool-deploy-timeout"}},
		{"init-file", filepath.Join(dir, "none"), []string{"--metalpool-init-file", "no such file"}},
		{"init-file", dir, []string{"--metalpool-init-file", "not a regular file"}},
		{"init-file", empty, []string{"read --metalpool-init-file " + empty + ": it is empty", "#cloud-config"}},
		{"init-file", blank, []string{"read --metalpool-init-file " + blank + ": it is empty"}},
		{"post-deploy", empty, []string{"read --metalpool-post-deploy " + empty + ": it is empty", "#!/bin/sh"}},
		{"post-deploy", blank, []string{"read --metalpool-post-deploy " + blank + ": it is empty"}},
		{"url", "https://admin:s3cret@pool", []string{"open pool: it holds a password"}},
	} {
		err := New(newRack()).SetConfigFromFlags(given(map[string]any{test.flag: test.value}))
		wantText(t, err, test.says...)
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("--metalpool-%s: the refusal tells a secret: %v", test.flag, err)
		}
	}
}

// What is kept is the pool's address as the pool tells it: a later command may be
// run from another folder, with another environment.
func TestAddressOfThePoolIsKept(t *testing.T) {
	r := newRack()
	d := newMachine(t, r, nil)
	t.Setenv("METALPOOL_URL", "/another/pool.db")
	if err := later(t, d).Remove(); err != nil {
		t.Fatal(err)
	}
	if r.url != "/default/pool.db" {
		t.Errorf("a later command opened %q", r.url)
	}
}

func TestConstructorTouchesNothing(t *testing.T) {
	d := New(nil) // any use of the pool would panic
	var _ drivers.Driver = d
	if d.DriverName() != "metalpool" || d.GetMachineName() != "" {
		t.Errorf("a new driver is called %q, its machine %q", d.DriverName(), d.GetMachineName())
	}
}
