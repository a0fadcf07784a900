package rackfile

import (
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
		_, _, err := Read("rack.yaml", strings.NewReader(text))
		if err == nil || !strings.Contains(err.Error(), "docs/steps.md") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
