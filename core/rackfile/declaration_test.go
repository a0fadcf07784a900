package rackfile

import (
	"encoding/json"
	"strings"
	"testing"
)

// Who declares a step that is none is sent to the page that says what steps are.
func TestADeclarationsErrorNamesItsPage(t *testing.T) {
	for name, text := range map[string]string{
		"an unknown field":     "steps:\n- name: agent\n  skript: {run: 'true'}\n",
		"a step of no kind":    "steps:\n- name: agent\n",
		"a profile's bad name": "profiles:\n- name: Base Of All\n",
	} {
		_, err := Read("rack.yaml", strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), "metalpool help steps") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What only another program or a server understands is written as it was read.
func TestWhatOthersUnderstandIsExported(t *testing.T) {
	const text = `steps:
  - name: bios
    bios:
      attributes:
        Delay: 7
        Mask: 9007199254740993
        Top: 18446744073709551615
        Voltage: 1.5
  - name: dns
    plugin:
      name: dns
      config:
        id: 9007199254740993
        servers:
          - name: '{{.Node.ID}}.example'
          - 1.5
`
	d, err := Read("rack.yaml", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := json.Marshal(d.Steps)
	if err != nil {
		t.Fatal(err)
	}
	var stored File
	if err := json.Unmarshal(kept, &stored.Steps); err != nil {
		t.Fatal(err)
	}
	var exported strings.Builder
	if err := stored.Print(&exported); err != nil || !strings.Contains(exported.String(), text) {
		t.Errorf("%v:\n%s", err, &exported)
	}
}
