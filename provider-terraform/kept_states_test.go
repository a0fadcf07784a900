//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// tfstate is a state file as far as the tests look into it; the rest stays as it is.
type tfstate struct {
	Version          int            `json:"version"`
	TerraformVersion string         `json:"terraform_version"`
	Serial           int            `json:"serial"`
	Lineage          string         `json:"lineage"`
	Outputs          map[string]any `json:"outputs"`
	Resources        []*stated      `json:"resources"`
	CheckResults     any            `json:"check_results"`
}

type stated struct {
	Mode      string      `json:"mode"`
	Type      string      `json:"type"`
	Name      string      `json:"name"`
	Each      string      `json:"each,omitempty"`
	Provider  string      `json:"provider"`
	Instances []*instance `json:"instances"`
}

type instance struct {
	Key           any            `json:"index_key,omitempty"`
	Status        string         `json:"status,omitempty"`
	SchemaVersion int64          `json:"schema_version"`
	Attributes    map[string]any `json:"attributes"`
	Sensitive     any            `json:"sensitive_attributes"`
	Private       string         `json:"private,omitempty"`
	Dependencies  []string       `json:"dependencies,omitempty"`
	CreateBefore  bool           `json:"create_before_destroy,omitempty"`
}

func readState(t *testing.T, path string) (s tfstate) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s tfstate) write(t *testing.T, path string) {
	t.Helper()
	text, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// instances are all that a state has, by address.
func (s tfstate) instances() map[string]*instance {
	all := map[string]*instance{}
	for _, r := range s.Resources {
		for _, i := range r.Instances {
			address := r.Type + "." + r.Name
			if i.Key != nil {
				address += fmt.Sprintf("[%v]", i.Key)
			}
			all[address] = i
		}
	}
	return all
}

// perRack are the attributes that are others in each rack. A state that is kept has what
// kind of value there was, in this form.
var perRack = []string{
	"id", "allocation_id", "node", "address", "ssh_port", "docker_port", "created_at", "ssh_host_key", "ssh_host_keys", "ssh_known_hosts",
	"bmc_url", "bmc_fingerprint", "console_key", "serial", "cpus", "memory_bytes", "manufacturer", "model",
	"source", "sha256", "size_bytes", "min_disk_bytes", "added_at",
}

func blank(value any) string {
	switch value.(type) {
	case float64:
		return "(number)"
	case []any:
		return "(list)"
	}
	return fmt.Sprintf("(%T)", value)
}

// blanked is a state without what is its rack's.
func (s tfstate) blanked() {
	for _, i := range s.instances() {
		for _, name := range perRack {
			if value := i.Attributes[name]; value != nil {
				i.Attributes[name] = blank(value)
			}
		}
	}
}

// filled is a kept state of the rack whose state now is given.
func (s tfstate) filled(t *testing.T, now tfstate) {
	t.Helper()
	for _, r := range s.Resources {
		r.Provider = now.Resources[0].Provider // OpenTofu has it from another registry
	}
	there := now.instances()
	for address, i := range s.instances() {
		if there[address] == nil {
			t.Fatalf("the configuration does not make %s any more", address)
		}
		for name, value := range i.Attributes {
			if text, is := value.(string); is && slices.Contains(perRack, name) && strings.HasPrefix(text, "(") {
				real := there[address].Attributes[name]
				if blank(real) != text {
					t.Fatalf("%s of %s was a %s and is %v now: write down here how it was", name, address, text, real)
				}
				i.Attributes[name] = real
			}
		}
	}
}

const keptStates = "testdata/state"

// kept is a folder with a configuration that was applied by a provider of its time.
func (r *rig) kept(t *testing.T, dir string) *work {
	t.Helper()
	w := r.newWork(t, "")
	w.copy(t, filepath.Join(dir, "main.tf"), "main.tf")
	servers, passwords := map[string]any{}, map[string]any{}
	for _, n := range r.Lab.Rack().Nodes {
		servers[string(n.ID)] = map[string]any{"bmc": n.BMC.URL, "user": n.BMC.User, "address": n.Address, "ssh_port": n.SSHPort, "docker_port": n.DockerPort}
		passwords[string(n.ID)] = n.BMC.Password
	}
	for name, value := range map[string]any{"servers": servers, "bmc_passwords": passwords, "image": r.image("lab")} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		w.settings = append(w.settings, "TF_VAR_"+name+"="+strings.Trim(string(text), `"`))
	}
	return w
}

// made is the state of what an apply made, once all of it is there.
func (w *work) made(t *testing.T) tfstate {
	t.Helper()
	w.apply(t)
	w.run(t, "apply", "-refresh-only", "-auto-approve") // servers tell who has them by now
	return readState(t, filepath.Join(w.dir, "terraform.tfstate"))
}

// TestStatesAreKept has this provider go on with the states that providers of older schemas
// wrote: there is nothing to do, and nothing is lost.
func TestStatesAreKept(t *testing.T) {
	t.Parallel()
	known, _ := resources(t)
	dirs, err := filepath.Glob(filepath.Join(keptStates, "v*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no state is kept: %v", err)
	}
	held := map[string]bool{}
	for _, dir := range dirs {
		file := filepath.Join(dir, "terraform.tfstate")
		if _, err := os.Stat(file); *update && os.IsNotExist(err) {
			w := bareRig(t, 3).kept(t, dir)
			state := w.made(t)
			state.blanked()
			state.write(t, file)
			w.destroy(t)
		}
		for address, i := range readState(t, file).instances() {
			kind, _, _ := strings.Cut(address, ".")
			held[fmt.Sprintf("%s v%d", kind, i.SchemaVersion)] = true
		}
		t.Run(filepath.Base(dir), func(t *testing.T) { goesOn(t, dir) })
	}
	for kind, s := range known {
		for version := range s.Version + 1 {
			if !held[fmt.Sprintf("%s v%d", kind, version)] {
				t.Errorf("no state of %s in version %d is kept: add a folder to %s, with a main.tf, and run this test with -update", kind, version, keptStates)
			}
		}
	}
}

// goesOn makes what a kept state tells of, and puts that state in the place of its own.
func goesOn(t *testing.T, dir string) {
	r := bareRig(t, 3)
	w := r.kept(t, dir)
	now, old := w.made(t), readState(t, filepath.Join(dir, "terraform.tfstate"))
	file := filepath.Join(w.dir, "terraform.tfstate")
	old.filled(t, now)

	newer := old
	newer.Resources = slices.Clone(old.Resources)
	for n, r := range newer.Resources {
		copied := *r.Instances[0]
		copied.SchemaVersion = 1000
		alike := *r
		alike.Instances = []*instance{&copied}
		newer.Resources[n] = &alike
	}
	newer.write(t, file)
	out, err := w.command(t, "plan", "-no-color").CombinedOutput()
	if err == nil {
		t.Error("a state of a newer provider was read")
	}
	says(t, string(out), "was created by a newer provider version than is currently", "Upgrade the")

	old.write(t, file)
	w.run(t, "plan", "-detailed-exitcode", "-refresh=false") // 2 would be that there is something to do
	if out := w.run(t, "plan", "-detailed-exitcode", "-no-color"); !strings.Contains(out, "No changes") {
		t.Errorf("the plan:\n%s", out)
	}
	w.apply(t)
	after, want := readState(t, file).instances(), now.instances()
	for _, address := range slices.Sorted(maps.Keys(want)) {
		if after[address] == nil || !reflect.DeepEqual(after[address].Attributes, want[address].Attributes) {
			t.Errorf("%s is\n%+v, and was made as\n%+v", address, after[address], want[address])
		}
	}
	w.destroy(t)
	if nodes, err := r.Engine(t).Nodes(t.Context(), core.NodeFilter{}); err != nil || len(nodes) > 0 {
		t.Errorf("after destroy there are %+v, %v", nodes, err)
	}
}
