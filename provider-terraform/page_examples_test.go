//go:build linux

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/metalpool/metalpool/core"
)

// TestPageExamples applies what the registry's pages show, and validates what asks for
// more than the lab has.
func TestPageExamples(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	r.manage(t, core.ManageAlways)
	if _, err := r.Engine(t).Create(t.Context(), core.Order{ID: "other-1", Owner: "team-b/prod", Name: "db-1", Keys: []string{key}}, nil); err != nil {
		t.Fatal(err)
	}

	// All in one configuration, since each look takes terraform and the provider anew.
	valid := r.newWork(t, "")
	valid.file(t, ".ssh/id_ed25519.pub", key)
	valid.copy(t, pageExamples+"/provider/provider.tf", "provider.tf")
	valid.file(t, "main.tf", valid.modules(t, "guides"))
	valid.run(t, "get")
	imports := []string{"import-by-string-id.tf"}
	if knowsIdentities(t) {
		imports = append(imports, "import-by-identity.tf")
	}
	dirs, err := filepath.Glob(pageExamples + "/resources/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range imports {
		for _, dir := range dirs {
			valid.copy(t, filepath.Join(dir, "resource.tf"), filepath.Base(dir)+".tf")
			valid.copy(t, filepath.Join(dir, name), filepath.Base(dir)+"-import.tf")
		}
		valid.run(t, "validate")
	}

	page := r.newWork(t, "")
	page.file(t, ".ssh/id_ed25519.pub", key)
	page.file(t, "main.tf", shown(t, "../docs/terraform.md"))
	page.run(t, "validate")

	w := r.newWork(t, "")
	w.file(t, ".ssh/id_ed25519.pub", key)
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
