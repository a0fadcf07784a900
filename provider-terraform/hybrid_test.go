//go:build hybrid && linux

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// TestHybrid has one configuration take VMs of a cloud, by the cloud's own provider, and
// servers of the pool, and move a machine from the one to the other.
func TestHybrid(t *testing.T) {
	r := newRig(t, 2)
	c, api := newCloud(t)
	w := r.example(t, "hybrid")
	w.registry(t)
	w.settings = append(w.settings, "HCLOUD_ENDPOINT="+api, "HCLOUD_TOKEN="+strings.Repeat("t", 64))
	w.run(t, "init", "-no-color")

	whereAre := func(inCloud []string, onMetal ...string) {
		t.Helper()
		if got := c.servers(); !slices.Equal(got, inCloud) {
			t.Errorf("in the cloud are %v, want %v", got, inCloud)
		}
		machines, err := r.Engine(t).Machines(t.Context(), core.AllocationFilter{Live: true})
		var names []string
		for _, m := range machines {
			if m.State == core.Deployed {
				names = append(names, m.Name)
			}
		}
		slices.Sort(names)
		if err != nil || !slices.Equal(names, onMetal) {
			t.Errorf("on metal are %v, want %v: %v", names, onMetal, err)
		}
		if out := w.run(t, "plan", "-no-color"); !strings.Contains(out, "No changes") {
			t.Errorf("the plan after the apply:\n%s", out)
		}
	}
	w.apply(t)
	whereAre([]string{"web-1", "web-2"}, "web-3")

	w.settings = append(w.settings, `TF_VAR_machines={ web-1 = "cloud", web-2 = "both", web-3 = "metal" }`)
	w.apply(t)
	whereAre([]string{"web-1", "web-2"}, "web-2", "web-3")
	w.settings = append(w.settings, `TF_VAR_machines={ web-1 = "cloud", web-2 = "metal", web-3 = "metal" }`)
	w.apply(t)
	whereAre([]string{"web-1"}, "web-2", "web-3")

	for _, data := range c.seen {
		if !strings.Contains(data, "nginx") || strings.Contains(data, "smartmontools") {
			t.Errorf("a VM runs\n%s", data)
		}
	}
	w.destroy(t)
	if left := c.servers(); len(left) > 0 {
		t.Errorf("the cloud still has %v", left)
	}
	r.givenBack(t)
}

// registry has terraform find both providers in a folder, as it would in a registry.
func (w *work) registry(t *testing.T) {
	t.Helper()
	dir := filepath.Join(w.dir, "registry")
	for _, host := range []string{"registry.terraform.io", "registry.opentofu.org"} {
		for name, program := range map[string]string{
			"metalpool/metalpool": filepath.Join(built.Dir(t), "terraform-provider-metalpool"),
			"hetznercloud/hcloud": hetznerProvider(t),
		} {
			there := filepath.Join(dir, host, name, "1.0.0", runtime.GOOS+"_"+runtime.GOARCH)
			if err := os.MkdirAll(there, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(program, filepath.Join(there, "terraform-provider-"+filepath.Base(name)+"_v1.0.0")); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.file(t, "cli.tfrc", fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", dir))
}

// hetznerProvider builds Hetzner Cloud's provider, of its module.
func hetznerProvider(t *testing.T) string {
	t.Helper()
	program, err := filepath.Abs("../bin/terraform-provider-hcloud")
	if err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-C", "../tools/hcloud", "-trimpath", "-o", program, "github.com/hetznercloud/terraform-provider-hcloud")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build Hetzner Cloud's provider: %v: %s", err, out)
	}
	return program
}
