package core_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/metalpool/metalpool/"

// An importRule says what some packages may import. A pattern is a path inside
// this module, or a whole import path; with /... it stands for all below it,
// too, and * stands for one element.
type importRule struct {
	name  string
	of    []string // the packages that the rule binds
	not   []string // packages left out of it
	never []string // what they must not reach, in however many steps

	// only, unless nil, is all of this module that they may import directly,
	// beside what lies below them.
	only []string

	why string
}

var (
	libmachine = "github.com/docker/machine/..."
	terraform  = "github.com/hashicorp/terraform*/..."
)

var importRules = []importRule{
	{
		name: "core", of: []string{"core"},
		never: []string{libmachine, terraform},
		only:  []string{"core/cloudconfig", "core/internal/spelling"},
		why:   "core is what all others stand on",
	},
	{
		name: "cloud-configs", of: []string{"core/cloudconfig"},
		only: []string{},
		why:  "it is a leaf below core: texts in, text out",
	},
	{
		name: "spelling", of: []string{"core/internal/spelling"},
		only: []string{},
		why:  "it is a leaf below core: two words in, their distance out",
	},
	{
		name: "core's children", of: []string{"core/..."},
		never: []string{libmachine, terraform, "driver-machine/...", "provider-terraform/...", "cmd/..."},
		why:   "an adapter would then hold what the other one needs",
	},
	{
		name: "wiring", of: []string{"core/..."}, not: []string{"core/open/..."},
		never: []string{"core/open/..."},
		why:   "core/open wires the parts, not the parts core/open",
	},
	{
		name: "wire", of: []string{"core/deploy/wire"},
		only: []string{"core"},
		why:  "it is a leaf: messages made of core's types, and nothing that acts on them",
	},
	{
		name: "client", of: []string{"core/api", "core/api/client", "core/open/..."},
		never: []string{"core/api/server/...", "core/api/metrics", "github.com/danielgtaylor/...", "github.com/prometheus/..."},
		why:   "docker-machine starts a process for each machine that it lists; the server's framework is not theirs to carry",
	},
	{
		name: "agent, ramdisk and lab", of: []string{"agent/...", "ramdisk/...", "lab/..."},
		never: []string{libmachine, terraform, "driver-machine/...", "provider-terraform/..."},
		why:   "a ramdisk and a rack know no adapter",
	},
	{
		name: "operator's command", of: []string{"cmd/..."},
		never: []string{libmachine, terraform, "driver-machine/...", "provider-terraform/..."},
		why:   "it is no adapter's front end",
	},
	{
		name: "driver-machine", of: []string{"driver-machine/..."},
		never: []string{terraform, "provider-terraform/..."},
		only:  []string{"core", "core/open", "driver-machine/..."},
		why:   "an adapter translates, and core/open gives it a ready pool",
	},
	{
		name: "provider-terraform", of: []string{"provider-terraform/..."},
		never: []string{libmachine, "driver-machine/..."},
		only:  []string{"core", "core/cloudconfig", "core/open", "provider-terraform/..."},
		why:   "an adapter translates, and core/open gives it a ready pool; its function on cloud-configs merges as the engine reads them",
	},
}

// siblings are the parts of core that meet only in core/open: none imports
// another.
var siblings = []string{"core/store/*/...", "core/backend/*/...", "core/deploy/...", "core/api/..."}

// leaves are packages below siblings that others may import; Go itself keeps what is
// internal among those beside it.
var leaves = []string{"core/deploy/wire", "core/store/internal/record"}

type goPackage struct {
	ImportPath             string
	GoFiles, Imports, Deps []string
}

// TestThinAdapters is the invariant that an adapter holds nothing the other one
// would need, as far as imports can tell: they point one way.
func TestThinAdapters(t *testing.T) {
	packages := listPackages(t)
	isCore := func(p goPackage) bool { return p.ImportPath == module+"core" && len(p.GoFiles) > 0 }
	if !slices.ContainsFunc(packages, isCore) {
		t.Fatalf("go list names no %score with Go files among %d packages: the test would check nothing", module, len(packages))
	}
	for _, v := range violations(packages) {
		t.Error(v)
	}
}

// listPackages lists this module's packages as they are built; what only their
// tests import is not bound by the rules.
func listPackages(t *testing.T) []goPackage {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,GoFiles,Imports,Deps", module+"...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd, err, &stderr)
	}
	var packages []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func violations(packages []goPackage) []string {
	var found []string
	for _, p := range packages {
		path := strings.TrimPrefix(p.ImportPath, module)
		for _, rule := range importRules {
			if matches(rule.of, path) && !matches(rule.not, path) {
				found = append(found, rule.violations(p)...)
			}
		}
		for _, dep := range p.Imports {
			from, to := family(path), family(strings.TrimPrefix(dep, module))
			if from != "" && to != "" && from != to && !matches(leaves, strings.TrimPrefix(dep, module)) {
				found = append(found, fmt.Sprintf("%s imports %s: siblings meet only in core/open", path, dep))
			}
		}
	}
	return found
}

func (r importRule) violations(p goPackage) []string {
	var found []string
	path := strings.TrimPrefix(p.ImportPath, module)
	for _, dep := range p.Deps {
		if matches(r.never, strings.TrimPrefix(dep, module)) {
			found = append(found, fmt.Sprintf("%s: %s reaches %s: %s", r.name, path, dep, r.why))
		}
	}
	for _, dep := range p.Imports {
		inner, ours := strings.CutPrefix(dep, module)
		if r.only != nil && ours && !matches(r.only, inner) {
			found = append(found, fmt.Sprintf("%s: %s imports %s: %s", r.name, path, dep, r.why))
		}
	}
	return found
}

// family returns the part of core that path belongs to, or "".
func family(path string) string {
	for _, s := range siblings {
		if pattern, _ := strings.CutSuffix(s, "/..."); matches([]string{s}, path) {
			n := strings.Count(pattern, "/") + 1
			return strings.Join(strings.Split(path, "/")[:n], "/")
		}
	}
	return ""
}

func matches(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		pattern, below := strings.CutSuffix(pattern, "/...")
		want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
		if len(have) < len(want) || !below && len(have) > len(want) {
			return false
		}
		for i, element := range want {
			prefix, open := strings.CutSuffix(element, "*")
			if open && !strings.HasPrefix(have[i], prefix) || !open && have[i] != element {
				return false
			}
		}
		return true
	})
}

// TestImportRulesBind breaks each rule once in a made-up tree.
func TestImportRulesBind(t *testing.T) {
	const (
		machine  = "github.com/docker/machine/libmachine/drivers"
		provider = "github.com/hashicorp/terraform-plugin-framework/resource"
	)
	for _, test := range []struct {
		from, to string
		indirect bool
		want     bool
	}{
		{from: "core", to: "fmt"},
		{from: "core", to: machine, indirect: true, want: true},
		{from: "core", to: provider, indirect: true, want: true},
		{from: "core", to: "github.com/hashicorp/go-retryablehttp"},
		{from: "core", to: "core/match", want: true},
		{from: "core", to: "core/cloudconfig"},
		{from: "core/cloudconfig", to: "core", want: true},
		{from: "core", to: "internal/needs", want: true},
		{from: "core/store/sqlite", to: "core"},
		{from: "core/store/sqlite", to: "core/store/sqlite/migrations"},
		{from: "core/store/sqlite", to: "core/store/postgres", want: true},
		{from: "core/store/sqlite", to: "core/deploy", want: true},
		{from: "core/backend/redfish", to: "core/store/sqlite", want: true},
		{from: "core/backend/redfish", to: "core/deploy/wire"},
		{from: "core/backend/redfish", to: "core/deploy/media", want: true},
		{from: "core/deploy", to: "core/backend/redfish", want: true},
		{from: "core/deploy", to: "core/deploy/media"},
		{from: "core/deploy", to: "core/open", indirect: true, want: true},
		{from: "core/deploy/wire", to: "core"},
		{from: "core/deploy/wire", to: "core/deploy", want: true},
		{from: "core/api", to: "core/deploy", want: true},
		{from: "core/api", to: "driver-machine", indirect: true, want: true},
		{from: "core/open", to: "core/store/sqlite"},
		{from: "core/open", to: machine, indirect: true, want: true},
		{from: "agent", to: "core/deploy/wire"},
		{from: "agent/disk", to: machine, indirect: true, want: true},
		{from: "lab", to: "agent"},
		{from: "lab", to: provider, indirect: true, want: true},
		{from: "cmd/metalpool", to: "lab"},
		{from: "cmd/metalpool", to: "driver-machine", want: true},
		{from: "driver-machine", to: machine},
		{from: "driver-machine", to: "core/open"},
		{from: "driver-machine", to: "core/store/sqlite", indirect: true},
		{from: "driver-machine", to: "core/store/sqlite", want: true},
		{from: "driver-machine", to: "core/deploy/wire", want: true},
		{from: "driver-machine", to: provider, indirect: true, want: true},
		{from: "provider-terraform", to: provider},
		{from: "provider-terraform", to: "core/backend/redfish", want: true},
		{from: "provider-terraform", to: "core/cloudconfig"},
		{from: "provider-terraform/internal", to: machine, indirect: true, want: true},
	} {
		to := test.to
		if !strings.Contains(to, ".") && to != "fmt" {
			to = module + to
		}
		p := goPackage{ImportPath: module + test.from, Deps: []string{to}}
		if !test.indirect {
			p.Imports = p.Deps
		}
		if found := violations([]goPackage{p}); (len(found) > 0) != test.want {
			t.Errorf("%s imports %s (indirect %t): found %q; want a violation: %t", test.from, to, test.indirect, found, test.want)
		}
	}
}
