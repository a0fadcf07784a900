package cloudconfig_test

import (
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core/cloudconfig"
)

// A file's content arrives as it was written, whatever it begins with.
func TestTextsAreKept(t *testing.T) {
	for _, want := range []string{"one\ntwo\n", "  one\ntwo\n", "\n\none\n", "\tone\n\ttwo\n", "\n one\n", "one\n\n\n", "    one\n  two"} {
		for name, text := range map[string]string{
			"quoted":  fmt.Sprintf("%q", want),
			"literal": "|2+\n    " + strings.ReplaceAll(want, "\n", "\n    "),
		} {
			if name == "literal" && !strings.HasSuffix(want, "\n") {
				continue
			}
			c, err := cloudconfig.Parse("#cloud-config\nwrite_files:\n- path: /a\n  content: " + text + "\n")
			if err != nil {
				t.Fatal(err)
			}
			made, err := c.Text()
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Files []struct{ Content string } `yaml:"write_files"`
			}
			if err := yaml.Unmarshal([]byte(made), &got); err != nil || strings.TrimRight(got.Files[0].Content, "\n") != strings.TrimRight(want, "\n") {
				t.Errorf("%q, %s: %v, %q\n%s", want, name, err, got.Files, made)
			}
		}
	}
}
