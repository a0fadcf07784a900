//go:build linux

package main_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// What users of a provider keep is its state, and the schema that it was written with. So
// testdata/schema has each resource's schema of each version, and testdata/state what was
// written with it.
var update = flag.Bool("update", false, "write what of testdata/schema and testdata/state is not there, where that breaks nobody's state")

// shape is a resource's schema as far as states and configurations depend on it: what each
// attribute is, by its path.
type shape map[string]string

// shapeOf has no descriptions, and nothing of validators, defaults or plan modifiers.
func shapeOf(s *tfprotov6.Schema, identity *tfprotov6.ResourceIdentitySchema) shape {
	found := shape{}
	found.block("", s.Block)
	for _, a := range identity.IdentityAttributes {
		how := map[bool]string{true: required, false: optional}[a.RequiredForImport]
		found[fmt.Sprintf("identity.v%d.%s", identity.Version, a.Name)] = kindOf(a.Type) + " " + how
	}
	return found
}

func (s shape) block(at string, b *tfprotov6.SchemaBlock) {
	s.attributes(at, b.Attributes)
	for _, n := range b.BlockTypes {
		s[at+n.TypeName] = strings.ToLower(n.Nesting.String()) + " block"
		s.block(at+n.TypeName+".", n.Block)
	}
}

func (s shape) attributes(at string, list []*tfprotov6.SchemaAttribute) {
	for _, a := range list {
		var is []string
		if a.NestedType == nil {
			is = append(is, kindOf(a.Type))
		} else {
			is = append(is, strings.ToLower(a.NestedType.Nesting.String())+" object")
			s.attributes(at+a.Name+".", a.NestedType.Attributes)
		}
		for name, has := range map[string]bool{required: a.Required, optional: a.Optional, computed: a.Computed, writeOnly: a.WriteOnly, sensitive: a.Sensitive} {
			if has {
				is = append(is, name)
			}
		}
		slices.Sort(is[1:])
		s[at+a.Name] = strings.Join(is, " ")
	}
}

func kindOf(t tftypes.Type) string {
	return strings.ToLower(strings.NewReplacer("tftypes.", "", "[", " of ", "]", "").Replace(t.String()))
}

func (s shape) String() string {
	var lines strings.Builder
	for _, path := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(&lines, "%s: %s\n", path, s[path])
	}
	return lines.String()
}

func readShape(text []byte) shape {
	found := shape{}
	for line := range strings.Lines(string(text)) {
		path, is, _ := strings.Cut(strings.TrimSpace(line), ": ")
		found[path] = is
	}
	return found
}

// breaks tells what of a schema a state or a configuration that was made for it would miss
// in the next one. What has been added breaks nothing, unless it is asked for.
func (s shape) breaks(next shape) (why []string) {
	for _, path := range slices.Sorted(maps.Keys(s)) {
		switch is, there := next[path]; {
		case !there:
			why = append(why, path+" is gone")
		case !outlives(s[path], is):
			why = append(why, fmt.Sprintf("%s was %q and is %q", path, s[path], is))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(next)) {
		_, there := s[path]
		dot := strings.LastIndex(path, ".")
		_, old := s[path[:max(dot, 0)]]
		if !there && strings.Contains(next[path], required) && (old || dot < 0) {
			why = append(why, path+" is new and required")
		}
	}
	return why
}

const (
	required  = "required"
	optional  = "optional"
	computed  = "computed"
	writeOnly = "write-only"
	sensitive = "sensitive"
)

// outlives reports whether what was written for an attribute does for what it is now: it
// may be asked for less strictly, and be filled in where it was not.
func outlives(was, is string) bool {
	before, after := strings.Fields(was), strings.Fields(is)
	kind := func(words []string) []string {
		return slices.DeleteFunc(slices.Clone(words), func(w string) bool {
			return slices.Contains([]string{required, optional, computed, sensitive}, w)
		})
	}
	settable := func(words []string) bool { return slices.Contains(words, required) || slices.Contains(words, optional) }
	return slices.Equal(kind(before), kind(after)) &&
		(settable(after) || !settable(before)) &&
		(slices.Contains(before, required) || !slices.Contains(after, required)) &&
		(slices.Contains(after, computed) || !slices.Contains(before, computed))
}

// TestSchemasAreKept refuses a change of a schema that states of its version would not
// survive.
func TestSchemasAreKept(t *testing.T) {
	t.Parallel()
	known, identities := resources(t)
	for kind, s := range known {
		now := shapeOf(s, identities[kind])
		file := schemaFile(kind, s.Version)
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		kept := readShape(text)
		why := kept.breaks(now)
		switch {
		case err == nil && len(why) > 0:
			t.Errorf("the schema of %s is of version %d still, and is not what it was:\n  %s\nCount its Version up, write its UpgradeState from version %[2]d on, run this test with -update, and keep a state of the new version beside the old ones (see docs/terraform.md). Where version %[2]d was never released: remove %s and run this test with -update.",
				kind, s.Version, strings.Join(why, "\n  "), file)
		case *update:
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(now.String()), 0o644)); err != nil {
				t.Fatal(err)
			}
		case err != nil || !bytes.Equal(text, []byte(now.String())):
			t.Errorf("%s does not have all of %s as it is: what is new breaks no state; run this test with -update", file, kind)
		}
		for version := range s.Version {
			if _, err := os.Stat(schemaFile(kind, version)); err != nil {
				t.Errorf("the schema of %s in its version %d is not kept: %v", kind, version, err)
			}
		}
	}
}

// TestBrokenSchemas holds what counts as a change that states do not survive.
func TestBrokenSchemas(t *testing.T) {
	t.Parallel()
	kept := shape{"name": "string required", "port": "number optional", "node": "string computed optional", "disk": "list block", "disk.size": "string optional"}
	with := func(path, is string) shape {
		next := maps.Clone(kept)
		if next[path] = is; is == "" {
			delete(next, path)
		}
		return next
	}
	for name, c := range map[string]struct {
		next shape
		want string
	}{
		"nothing":           {kept, ""},
		"one more":          {with("image", "string computed optional"), ""},
		"one more block":    {with("nic.speed", "string required"), ""},
		"asked for less":    {with("name", "string computed optional"), ""},
		"filled in":         {with("port", "number computed optional"), ""},
		"hidden":            {with("port", "number optional sensitive"), ""},
		"gone":              {with("port", ""), "port is gone"},
		"gone from a block": {with("disk.size", ""), "disk.size is gone"},
		"another type":      {with("port", "string optional"), `port was "number optional" and is "string optional"`},
		"another nesting":   {with("disk", "set block"), `disk was "list block" and is "set block"`},
		"no more settable":  {with("port", "number computed"), `port was "number optional" and is "number computed"`},
		"not filled in":     {with("node", "string optional"), `node was "string computed optional" and is "string optional"`},
		"not stored":        {with("port", "number optional write-only"), `port was "number optional" and is "number optional write-only"`},
		"asked for more":    {with("port", "number required"), `port was "number optional" and is "number required"`},
		"asked for":         {with("owner", "string required"), "owner is new and required"},
		"asked of a block":  {with("disk.kind", "string required"), "disk.kind is new and required"},
	} {
		if got := strings.Join(kept.breaks(c.next), "; "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func schemaFile(kind string, version int64) string {
	return filepath.Join("testdata", "schema", fmt.Sprintf("v%d", version), kind+".txt")
}

// resources are the schemas of all resources, and of what identifies them.
func resources(t *testing.T) (map[string]*tfprotov6.Schema, map[string]*tfprotov6.ResourceIdentitySchema) {
	t.Helper()
	server, err := inProcess()["metalpool"]()
	fine(t, err, nil)
	known, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	fine(t, err, known.Diagnostics)
	identities, err := server.GetResourceIdentitySchemas(t.Context(), &tfprotov6.GetResourceIdentitySchemasRequest{})
	fine(t, err, identities.Diagnostics)
	if len(known.ResourceSchemas) == 0 {
		t.Fatal("there are no resources")
	}
	return known.ResourceSchemas, identities.IdentitySchemas
}
