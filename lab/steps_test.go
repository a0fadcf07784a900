package lab_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
	"github.com/metalpool/metalpool/lab"
)

// Every example of docs/steps.md is applied, and a machine deployed with it.
func TestStepsOfTheDocumentation(t *testing.T) {
	t.Setenv("CMDB_TOKEN", "t0k3n")
	text, err := os.ReadFile("../docs/steps.md")
	try(t, err)
	examples := strings.Split(string(text), "```yaml\n")[1:]
	if len(examples) < 3 {
		t.Fatalf("%d examples", len(examples))
	}
	l := up(t, lab.Config{Nodes: 1})
	p := newPool(t, l)
	key := newKey(t)
	looks := []string{"cat /etc/agent.conf", "", "test -e /etc/baseline"}
	for i, example := range examples {
		example, _, _ = strings.Cut(example, "```")
		d, _, err := rackfile.ParseDeclarations(strings.NewReader(example))
		try(t, err)
		_, err = p.Apply(t.Context(), core.Declaration{By: core.DeclaredIn("steps.md"), Steps: d.Steps, Profiles: d.Profiles, Pools: d.Pools}, core.ApplyOptions{})
		try(t, err)
		m, err := p.Create(t.Context(), order(fmt.Sprintf("m-%d", i), key), nil)
		if err != nil {
			t.Fatalf("example %d: %v", i+1, err)
		}
		if i < len(looks) && looks[i] != "" {
			out, err := onMachine(t.Context(), m, key, looks[i])
			try(t, err)
			if i == 0 && out != "server = monitoring.example\nnode = "+string(m.Node)+"\npool = default\n" {
				t.Errorf("the machine has %q", out)
			}
		}
		events, err := p.Events(t.Context(), core.EventFilter{Allocation: m.ID})
		try(t, err)
		for _, ev := range events {
			if strings.Contains(ev.Message, "t0k3n") {
				t.Errorf("%s tells the secret: %s", ev.Step, ev.Message)
			}
		}
		try(t, p.Release(t.Context(), m.ID, core.ReleaseOptions{WaitClean: true}, nil))
	}
}
