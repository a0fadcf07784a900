//go:build linux

package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/driver-machine/driver"
	"github.com/metalpool/metalpool/lab/labtest"
)

const examples = "../examples/driver-machine"

// TestExampleScripts runs the scripts as a reader would, and finds all given back.
func TestExampleScripts(t *testing.T) {
	t.Parallel()
	r := newRig(t, t.TempDir(), 5)
	for _, script := range []string{"one.sh", "parallel.sh"} {
		path, err := filepath.Abs(filepath.Join(examples, script))
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), path, "--metalpool-wait", labtest.Patience.String())
		cmd.Env = append(os.Environ(), r.Environment...)
		cmd.Dir = t.TempDir()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
	}
	r.Settle(t)
	e := r.Engine(t)
	machines, err := e.Machines(t.Context(), core.AllocationFilter{Live: true})
	if err != nil || len(machines) > 0 {
		t.Errorf("the scripts left machines behind: %v, %v", machines, err)
	}
	nodes, err := e.Nodes(t.Context(), core.NodeFilter{})
	if err != nil {
		t.Fatal(err)
	}
	again := 0
	for _, n := range nodes {
		if n.State != core.Available {
			t.Errorf("%s is %s: %s", n.ID, n.State, n.Reason)
		}
		again += n.Erases - 1
	}
	if again != 6 { // one.sh took one server, parallel.sh five
		t.Errorf("after 6 machines the servers were erased %d times", again)
	}
}

// TestExampleConfigs holds what GitLab Runner and Rancher are told to the flags that
// the driver has.
func TestExampleConfigs(t *testing.T) {
	t.Parallel()
	flags := map[string]bool{}  // metalpool-ssh-user
	fields := map[string]bool{} // sshUser
	for _, f := range driver.New(nil).GetCreateFlags() {
		flags[f.String()] = true
		fields[lowerCamel(strings.TrimPrefix(f.String(), "metalpool-"))] = true
	}
	toml, err := os.ReadFile(filepath.Join(examples, "gitlab-runner", "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	options := regexp.MustCompile(`"(metalpool-[a-z-]+)=`).FindAllSubmatch(toml, -1)
	if len(options) == 0 {
		t.Error("the runner's configuration names no option of the driver")
	}
	for _, o := range options {
		if !flags[string(o[1])] {
			t.Errorf("the runner's configuration names --%s, which the driver does not have", o[1])
		}
	}

	text, err := os.ReadFile(filepath.Join(examples, "rancher", "nodedriver.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Metadata struct {
			Name        string            `yaml:"name"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"metadata"`
	}
	if err := yaml.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Metadata.Name != driver.Name {
		t.Errorf("Rancher is told of a driver %q", manifest.Metadata.Name)
	}
	if len(manifest.Metadata.Annotations) == 0 {
		t.Error("Rancher is told of no fields")
	}
	for annotation, list := range manifest.Metadata.Annotations {
		for _, field := range strings.Split(list, ",") {
			name, _, _ := strings.Cut(field, ":")
			if !fields[name] {
				t.Errorf("%s names the field %q, which is no flag of the driver", annotation, name)
			}
		}
	}
}

func lowerCamel(flag string) string {
	parts := strings.Split(flag, "-")
	for i, p := range parts[1:] {
		parts[i+1] = strings.ToUpper(p[:1]) + p[1:]
	}
	return strings.Join(parts, "")
}
