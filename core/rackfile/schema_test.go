package rackfile_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
)

// valid says what is wrong with a file by the schema, as an editor would.
func valid(t *testing.T, text string) error {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(rackfile.Schema))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.AddResource("rack.schema.json", schema); err != nil {
		t.Fatal(err)
	}
	checks, err := compiler.Compile("rack.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(written))
	if err != nil {
		t.Fatal(err)
	}
	return checks.Validate(document)
}

// yamlIn are the examples of a page.
func yamlIn(t *testing.T, page string) []string {
	t.Helper()
	var examples []string
	for _, part := range strings.Split(read(t, page), "```yaml\n")[1:] {
		example, _, _ := strings.Cut(part, "```")
		examples = append(examples, example)
	}
	if len(examples) == 0 {
		t.Errorf("%s has no examples", page)
	}
	return examples
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every example is valid, by the schema and by the reader.
func TestExamplesAreValid(t *testing.T) {
	const example = "../../examples/rack.yaml"
	all := append(yamlIn(t, "../../docs/steps.md"), yamlIn(t, "../../docs/rack-file.md")...)
	for i, text := range append(all, read(t, example)) {
		if err := valid(t, text); err != nil {
			t.Errorf("example %d: %v\n%s", i+1, err, text)
		}
		if _, err := rackfile.Read("rack.yaml", strings.NewReader(text)); err != nil {
			t.Errorf("example %d: %v\n%s", i+1, err, text)
		}
	}
	line, _, _ := strings.Cut(read(t, example), "\n")
	if line != "# yaml-language-server: $schema=rack.schema.json" {
		t.Errorf("an editor finds no schema by %q", line)
	}
	if !bytes.Equal([]byte(read(t, "../../examples/rack.schema.json")), rackfile.Schema) {
		t.Error("the schema beside the example is another one")
	}
}

// What the reader refuses by itself an editor marks, too: fields, kinds and words that there
// are not.
func TestTheSchemaRefusesWhatTheReaderDoes(t *testing.T) {
	const step = "steps:\n- name: agent\n  script: {run: 'true'}\n"
	for _, text := range []string{
		step,
		step + "  phase: deployed\n  timeout: 5m\n  retries: 2\n  on_failure: warn\n  secrets: {TOKEN: 'env:TOKEN'}\n",
		"nodes:\n- bmc: {url: https://10.0.0.7}\n  labels: {rack: 7}\n",
		"pools:\n- name: gold\n  quota: 3\n  steps_at_once: 4\n  erase_minimum: purge\n  timeouts: {check_in: 40m}\n  profiles: []\n",
		"images:\n- name: debian\n  source: debian.qcow2\n  user: debian\n  boot: reboot\n",
	} {
		if err := valid(t, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := rackfile.Read("rack.yaml", strings.NewReader(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"colour: red\n":                                    "rack.yaml:1:1: field colour not found",
		step + "  colour: red\n":                           "rack.yaml:4:3: field colour not found",
		step + "  http: {url: http://x}\n":                 "rack.yaml:2:3: step agent: it is of more than one kind",
		step + "  on_failure: wran\n":                      `"wran" is nothing to do about a failure`,
		step + "  phase: deployd\n":                        `cannot run in the phase "deployd"`,
		step + "  secrets: {TOKEN: hunter2}\n":             "rack.yaml:4:20: step agent: secrets.TOKEN: it is not said where to find it",
		step + "  retries: many\n":                         "rack.yaml:4:12: retries is to be a number",
		"steps:\n- name: agent\n":                          "it does not say what is to be done",
		"steps:\n- name: agent\n  skript: {run: 'true'}\n": "rack.yaml:3:3: no kind of step is called skript; did you mean script?",
		"steps:\n- name: agent\n  script: {rum: 'true'}\n": "rack.yaml:3:12: field rum not found; did you mean run?",
		"profils: []\n":                                    "rack.yaml:1:1: field profils not found; did you mean profiles?",
		"pools:\n- name: gold\n  quotta: 3\n":              "rack.yaml:3:3: field quotta not found; did you mean quota?",
		"nodes:\n- id: r1-n7\n":                            "rack.yaml:2:3: bmc.url is missing",
	} {
		if err := valid(t, text); err == nil {
			t.Errorf("%q is valid by the schema", text)
		}
		_, err := rackfile.Read("rack.yaml", strings.NewReader(text))
		if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
