//go:build linux

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/labtest"
)

const (
	pageExamples  = "examples"              // what the registry's pages show
	wholeExamples = "../examples/terraform" // what is applied as it is
)

// TestExamplesAreFormatted holds all examples to terraform's own form.
func TestExamplesAreFormatted(t *testing.T) {
	t.Parallel()
	w := (&rig{&labtest.Rack{}}).newWork(t, "")
	for _, dir := range []string{pageExamples, wholeExamples} {
		dir, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		w.run(t, "fmt", "-check", "-diff", "-recursive", dir)
	}
	w.file(t, "page.tf", shown(t, "../docs/terraform.md"))
	w.run(t, "fmt", "-check", "-diff", "page.tf")
}

// file writes a file into the folder, and copy one of the repository's.
func (w *work) file(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

func (w *work) copy(t testing.TB, from, to string) string {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	w.file(t, to, string(text))
	return string(text)
}

// example copies one of the whole examples.
func (r *rig) example(t *testing.T, name string) *work {
	t.Helper()
	w := r.newWork(t, "")
	w.file(t, ".ssh/id_ed25519.pub", key)
	files, err := filepath.Glob(filepath.Join(wholeExamples, name, "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("example %s: %v", name, err)
	}
	for _, file := range files {
		w.copy(t, file, filepath.Base(file))
	}
	return w
}

// TestWholeExamples applies them, plans again, and destroys.
func TestWholeExamples(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	still := func(w *work) {
		t.Helper()
		if out := w.run(t, "plan", "-no-color"); !strings.Contains(out, "No changes") {
			t.Errorf("the plan after the apply:\n%s", out)
		}
	}

	w := r.example(t, "basic")
	told := w.apply(t)
	if m, _ := r.machine(t, "web-1"); m.State != core.Deployed || !strings.Contains(told, fmt.Sprintf("ssh -p %d debian@%s", m.Access.SSHPort, m.Access.Address)) {
		t.Errorf("basic leaves %+v", m)
	}
	still(w)
	w.destroy(t)

	w = r.example(t, "apart")
	w.apply(t)
	taken := r.named(t, "db-1")
	w.settings = append(w.settings, "TF_VAR_image=lab-2")
	w.apply(t)
	if m := r.named(t, "db-1"); m.ID != taken.ID || m.Image != "lab-2" {
		t.Errorf("apart makes\n%+v of\n%+v", m, taken)
	}
	w.destroy(t)

	made, err := r.Engine(t).Create(t.Context(), core.Order{ID: "dm-1", Owner: owner, Name: "db-1", Keys: []string{key}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w = r.example(t, "import")
	w.run(t, "plan", "-generate-config-out=machine.tf")
	if out := w.apply(t); !strings.Contains(out, "1 imported, 0 added, 0 changed, 0 destroyed") {
		t.Errorf("the import:\n%s", out)
	}
	still(w)
	if m := r.named(t, "db-1"); m.ID != made.ID || !slices.Equal(m.Access.HostKeys, made.Access.HostKeys) {
		t.Errorf("the import made\n%+v of\n%+v", m, made)
	}
	w.destroy(t)
	r.givenBack(t)
}

// named is a machine that must be there.
func (r *rig) named(t *testing.T, name string) core.Machine {
	t.Helper()
	m, there := r.machine(t, name)
	if !there {
		t.Fatalf("there is no machine %s", name)
	}
	return m
}
