//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/metalpool/metalpool/core"
)

const (
	pageExamples  = "examples"              // what the registry's pages show
	wholeExamples = "../examples/terraform" // what is applied as it is
)

// TestExamplesAreFormatted holds all examples to terraform's own form.
func TestExamplesAreFormatted(t *testing.T) {
	t.Parallel()
	w := (&rig{}).newWork(t, "")
	for _, dir := range []string{pageExamples, wholeExamples} {
		dir, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		w.run(t, "fmt", "-check", "-diff", "-recursive", dir)
	}
}

// TestPageExamples applies what the registry's pages show, and validates what asks for
// more than the lab has.
func TestPageExamples(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	r.manage(t, core.ManageAlways)
	if _, err := r.engine(t).Create(t.Context(), core.Order{ID: "other-1", Owner: "team-b/prod", Name: "db-1", Keys: []string{key}}, nil); err != nil {
		t.Fatal(err)
	}

	valid := r.newWork(t, "")
	valid.file(t, ".ssh/id_ed25519.pub", key)
	valid.copy(t, pageExamples+"/provider/provider.tf", "provider.tf")
	valid.file(t, "main.tf", valid.modules(t, "guides"))
	valid.run(t, "get")
	valid.run(t, "validate")
	imports := []string{"import-by-string-id.tf"}
	if valid.knowsIdentities(t) {
		imports = append(imports, "import-by-identity.tf")
	}
	dirs, err := filepath.Glob(pageExamples + "/resources/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		for _, name := range imports {
			valid.copy(t, filepath.Join(dir, "resource.tf"), "resource.tf")
			valid.copy(t, filepath.Join(dir, name), "import.tf")
			valid.run(t, "validate")
		}
	}

	page := r.newWork(t, "")
	page.file(t, ".ssh/id_ed25519.pub", key)
	page.file(t, "main.tf", shown(t, "../docs/terraform.md"))
	page.run(t, "validate")

	w := r.newWork(t, "")
	w.write(t, w.modules(t, "resources", "data-sources", "ephemeral-resources", "functions"))
	w.run(t, "get")
	w.apply(t)
	for name, state := range map[string]core.State{"web-1": core.Deployed, "build-1": core.Deployed, "db-1": core.Allocated} {
		if m := r.named(t, name); m.State != state {
			t.Errorf("the example's machine %s is %s", name, m.State)
		}
	}
	if out := w.run(t, "plan", "-no-color"); !strings.Contains(out, "No changes") {
		t.Errorf("the plan after the apply:\n%s", out)
	}
	w.destroy(t)
}

// TestLaterExamples holds the examples of what terraform takes only from 1.14 on to the
// schemas.
func TestLaterExamples(t *testing.T) {
	t.Parallel()
	server, err := inProcess()["metalpool"]()
	if err != nil {
		t.Fatal(err)
	}
	known, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	fine(t, err, known.Diagnostics)
	schemas := map[string]*tfprotov6.Schema{}
	for name, s := range known.ActionSchemas {
		schemas["actions/"+name+"/action.tf"] = s.Schema
	}
	for name, s := range known.ListResourceSchemas {
		schemas["list-resources/"+name+"/list-resource.tfquery.hcl"] = s
	}
	for name, schema := range schemas {
		text, err := os.ReadFile(filepath.Join(pageExamples, name))
		config := configs.FindSubmatch(text)
		if err != nil || config == nil || !strings.Contains(string(text), fmt.Sprintf(" %q ", filepath.Base(filepath.Dir(name)))) {
			t.Errorf("%s has no such block: %v", name, err)
			continue
		}
		set := map[string]bool{}
		for _, a := range settings.FindAllSubmatch(config[1], -1) {
			set[string(a[1])] = true
		}
		for _, a := range schema.Block.Attributes {
			if a.Required && !set[a.Name] {
				t.Errorf("%s does not set %s", name, a.Name)
			}
			delete(set, a.Name)
		}
		if len(set) > 0 {
			t.Errorf("%s sets what there is not: %v", name, set)
		}
	}
}

var (
	configs  = regexp.MustCompile(`(?ms)^  config \{$(.*?)^  \}$`)
	settings = regexp.MustCompile(`(?m)^ {4}(\w+) += `)
)

// operators are resources whose examples name what only their operator has.
var operators = []string{"metalpool_pool", "metalpool_image", "metalpool_node"}

// modules makes a module of each example of some kinds, and returns what calls them all.
func (w *work) modules(t *testing.T, kinds ...string) string {
	t.Helper()
	var calls strings.Builder
	for _, kind := range kinds {
		dirs, err := filepath.Glob(filepath.Join(pageExamples, kind, "*"))
		if err != nil || len(dirs) == 0 {
			t.Fatalf("there are no examples of %s: %v", kind, err)
		}
		for _, dir := range dirs {
			files, err := filepath.Glob(filepath.Join(dir, "*.tf"))
			if err != nil {
				t.Fatal(err)
			}
			if slices.Contains(operators, filepath.Base(dir)) {
				continue
			}
			name := kind + "_" + filepath.Base(dir)
			w.file(t, filepath.Join(name, "sources.tf"), sources)
			fmt.Fprintf(&calls, "module %q {\n  source = \"./%s\"\n", name, name)
			for _, file := range files {
				if strings.HasPrefix(filepath.Base(file), "import") {
					continue // an import is the root's
				}
				for _, variable := range asked(w.copy(t, file, filepath.Join(name, filepath.Base(file)))) {
					fmt.Fprintf(&calls, "  %s = %q\n", variable, key)
				}
			}
			calls.WriteString("}\n")
		}
	}
	return calls.String()
}

// shown is the one configuration that a page shows.
func shown(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "```hcl\n")
	config, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatalf("%s shows no configuration", page)
	}
	return config
}

var variables = regexp.MustCompile(`(?ms)^variable "(\w+)" \{(.*?)^\}`)

// asked are the variables of an example that have no default.
func asked(config string) (names []string) {
	for _, v := range variables.FindAllStringSubmatch(config, -1) {
		if !strings.Contains(v[2], "default ") {
			names = append(names, v[1])
		}
	}
	return names
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

// knowsIdentities reports whether this terraform takes import blocks with an identity.
func (w *work) knowsIdentities(t *testing.T) bool {
	t.Helper()
	var about struct {
		Version string `json:"terraform_version"`
	}
	if err := json.Unmarshal([]byte(w.run(t, "version", "-json")), &about); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(about.Version, "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major > 1 || minor >= 12
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
	r := newRig(t, 4)
	still := func(w *work) {
		t.Helper()
		if out := w.run(t, "plan", "-no-color"); !strings.Contains(out, "No changes") {
			t.Errorf("the plan after the apply:\n%s", out)
		}
	}

	w := r.example(t, "basic")
	w.apply(t)
	if m, _ := r.machine(t, "web-1"); m.State != core.Deployed || !strings.Contains(w.run(t, "output"), m.Access.Address) {
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

	r.racks(t, 2)
	w = r.example(t, "fleet")
	w.settings = append(w.settings, "TF_VAR_machines=2")
	w.apply(t)
	first, second := r.named(t, "web-1"), r.named(t, "web-2")
	if r.rack(t, first) == r.rack(t, second) {
		t.Errorf("%s and %s stand in one rack", first.Node, second.Node)
	}
	w.script(t, "./roll.sh lab-2")
	for _, before := range []core.Machine{first, second} {
		if after := r.named(t, before.Name); after.Node != before.Node || after.Image != "lab-2" {
			t.Errorf("%s was on %s, and is rolled to %s on %s", before.Name, before.Node, after.Image, after.Node)
		}
	}
	w.destroy(t)

	made, err := r.engine(t).Create(t.Context(), core.Order{ID: "dm-1", Owner: owner, Name: "db-1", Keys: []string{key}}, nil)
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

// script runs what people would type, with this terraform.
func (w *work) script(t *testing.T, line string) {
	t.Helper()
	bin := t.TempDir()
	if err := os.Symlink(w.terraform, filepath.Join(bin, "terraform")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir, cmd.Env = w.dir, append(append(os.Environ(), w.settings...), "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", line, err, out)
	}
}

// racks has the nodes stand in so many racks.
func (r *rig) racks(t *testing.T, count int) {
	t.Helper()
	e := r.engine(t)
	for i, n := range r.lab.Nodes() {
		rack := fmt.Sprintf("r%d", i%count+1)
		if _, err := e.SetNode(t.Context(), n.ID(), core.NodeChange{Labels: map[string]*string{"rack": &rack}}); err != nil {
			t.Fatal(err)
		}
	}
}

// rack is where a machine's server stands.
func (r *rig) rack(t *testing.T, m core.Machine) string {
	t.Helper()
	n, err := r.engine(t).Node(t.Context(), m.Node)
	if err != nil || n.Spec.Labels["rack"] == "" {
		t.Fatalf("%s has the labels %v: %v", m.Node, n.Spec.Labels, err)
	}
	return n.Spec.Labels["rack"]
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
