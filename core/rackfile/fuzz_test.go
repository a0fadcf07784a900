package rackfile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
)

// FuzzRead reads whatever somebody may apply. What was read can be written, and read again.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"../../examples/rack.yaml", "../../docs/steps.md", "../../docs/rack-file.md", "../../docs/plugins.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if filepath.Ext(name) == ".yaml" {
			f.Add(text)
			continue
		}
		for _, example := range strings.Split(string(text), "```yaml\n")[1:] {
			example, _, _ = strings.Cut(example, "```")
			f.Add([]byte(example))
		}
	}
	for _, text := range []string{
		"", "nodes: [{bmc: {url: 'https://b', password: x}}]", "a: &a [*a]", "steps: [&s {name: s, script: {run: x}}, *s]", "nodes: {}", "pools: [{name: x, profile: ~}]", "<<: {name: x}",
		"steps: [{name: p, plugin: {name: x, config: {1: 2, <<: {a: b}}}}]", "steps: [{name: s, timeout: 1e9h}]", "images: [{name: i, size: -1B}]", "--- a\n--- b", "\xff",
		"nodes:\n-\n", "steps: [&s ~, *s]", "steps: [{name: b, bios: {attributes: {A: .nan}}}]",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		rack, err := rackfile.Read("rack.yaml", bytes.NewReader(text))
		if err != nil {
			if !core.Is(err, core.Invalid) {
				t.Errorf("not Invalid: %v", err)
			}
			return
		}
		if rack.Declaration.By == "" {
			t.Error("nobody declares it")
		}
		for _, s := range rack.Declaration.Steps {
			_ = s.Validate()
		}
		var written bytes.Buffer
		if err := rack.Print(&written); err != nil {
			t.Fatal(err)
		}
		if _, err := rackfile.Read("rack.yaml", &written); err != nil {
			t.Errorf("written, it is refused: %v\n%s", err, written.String())
		}
	})
}
