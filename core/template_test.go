package core_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

func noSecret(string) (string, error) { return "s3cret", nil }

// Whatever a template asks for, it ends, and holds little.
func TestTemplatesWithoutEnd(t *testing.T) {
	doubling := `{{$x := "0123456789"}}` + strings.Repeat(`{{$x = %s}}`, 60)
	long := strings.Repeat("0123456789", 2_000)
	millions := `{{$x := printf "%01000d" 1}}{{$x = print $x $x $x $x $x $x $x $x}}{{$y := print $x 2}}{{$x = print $x 1}}{{range 9000}}{{if %s}}{{end}}{{end}}`
	facts := core.StepRun{Facts: core.Facts{Node: core.NodeFacts{ID: "n1", Memory: 1 << 40, MACs: []string{"a", "b"}}}}
	for text, says := range map[string]string{
		"{{range 9223372036854775807}}{{end}}":                           "it goes round more than 10000 times",
		"{{range .Node.Memory}}{{end}}":                                  "it goes round more than 10000 times",
		"{{range 9000}}{{range 9000}}{{end}}{{end}}":                     "it goes round more than 10000 times",
		"{{if true}}{{with 1}}{{range 1000000000}}{{end}}{{end}}{{end}}": "it goes round more than 10000 times",
		`{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`:          "it goes round more than 10000 times",
		strings.ReplaceAll(doubling, "%s", "print $x $x"):                "it makes more than 1 MiB",
		strings.ReplaceAll(doubling, "%s", `printf "%[1]s%[1]s" $x`):     "it makes more than 1 MiB",
		strings.ReplaceAll(doubling, "%s", `json (print $x "\\\\")`):     "it makes more than 1 MiB",
		strings.ReplaceAll(doubling, "%s", `js (print $x "\\\\")`):       "it makes more than 1 MiB",
		`{{printf "%999999d" 1}}`:                                        "printf is to write more than 1000 characters",
		`{{printf "%*d" 999999 1}}`:                                      "printf is to write more than 1000 characters",
		`{{printf "` + strings.Repeat("%1000d", 3000) + `" 1}}`:          "it makes more than 1 MiB",
		// What is harmless once is not when it is done often, or held by many at a time.
		`{{define "a"}}{{template "a" (print . "x")}}{{end}}{{template "a" (print "` + long + `")}}`: "it handles more than 16 MiB in all",
		`{{$x := "` + long + `"}}{{range 9000}}{{$y := js $x}}{{end}}`:                               "it handles more than 16 MiB in all",
		`{{$x := "` + long + `"}}{{range 9000}}{{if eq $x "` + long + `"}}{{end}}{{end}}`:            "it handles more than 16 MiB in all",
		// Nor what is compared: as long as a text may be, and as often as a line has room for.
		strings.ReplaceAll(millions, "%s", "eq $x "+strings.Repeat("$y ", 100)):   "it handles more than 16 MiB in all",
		strings.ReplaceAll(millions, "%s", "$x | lt $y"):                          "it handles more than 16 MiB in all",
		strings.ReplaceAll(millions, "%s", `eq ($x) (print "")`):                  "it handles more than 16 MiB in all",
		"{{range 9000}}" + strings.Repeat(`{{len "a"}}`, 20) + "{{end}}":          "it handles more than 16 MiB in all",
		strings.Repeat("{{if 1}}", 2000) + strings.Repeat("{{end}}", 2000):        "it nests deeper than 1000",
		"{{" + strings.Repeat("(", 2000) + "1" + strings.Repeat(")", 2000) + "}}": "it nests deeper than 1000",
		strings.Repeat(" ", 256<<10) + "{{1}}":                                    "its text has more than 256 KiB",
		`{{secret "a b"}}`:                                                        "secret takes the name of one",
		// Nobody but us has written how that is counted.
		"{{range .Node.ID}}a{{end}}":     "at <.Node.ID>: range can't iterate over that",
		"{{eq .Node.Memory .Node.ID}}":   "at <eq (.Node.Memory) (.Node.ID)>: error calling eq: incompatible types for comparison",
		"{{.Node.Memory | eq .Node.ID}}": "at <eq (.Node.ID)>: error calling eq: incompatible types for comparison",
		"{{countTurn}}":                  "function \"countTurn\" not defined",
	} {
		if _, err := facts.Expand(text, noSecret); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"{{range $i, $m := .Node.MACs}}{{$i}}{{$m}} {{else}}none{{end}}": "0a 1b ",
		"{{range .Node.Labels}}x{{else}}none{{end}}":                     "none",
		`{{define "a"}}<{{.}}>{{end}}{{template "a" .Node.ID}}`:          "<n1>",
		`{{printf "%5.2f|%-4s|%q|100%%" 1.5 .Node.ID .Node.ID}}`:         ` 1.50|n1  |"n1"|100%`,
		`{{json .Node.MACs}} {{print 1 2}} {{html "<"}}`:                 `["a","b"] 1 2 &lt;`,
		"{{range 3}}{{if eq . 1}}{{continue}}{{end}}{{.}}{{end}}":        "02",
		`{{eq .Node.ID "n1"}} {{ne "n1" .Node.ID}} {{"n1" | eq .Node.ID}} {{lt 1 .Node.Memory}} {{eq (len .Node.MACs) 2}} {{eq .Node.ID "a" .Node.ID}} {{and (eq 1 1) (gt 2 1)}}`: "true false true true true true true",
		strings.Repeat("{{if 0}}", 1) + strings.Repeat("{{else if 0}}", 500) + "{{else}}x{{end}}":                                                                                 "x",
	} {
		if got, err := facts.Expand(text, noSecret); err != nil || got != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

// What each costs little costs much where there are many: of one run, or one declaration.
func TestManyTemplates(t *testing.T) {
	const cheap, dear = "{{.Node.ID}}", "{{range 9990}}{{end}}"
	tree := core.FreeForm{}
	for i := range 1000 {
		tree[fmt.Sprint("a", i)] = cheap
	}
	s := core.Step{Name: "s", Plugin: &core.PluginStep{Name: "p", Config: tree}}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	const says = "all templates up to it together go round more than 40000 times"
	for i := range 10 {
		tree[fmt.Sprint("b", i)] = dear
	}
	if err := s.Validate(); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), says) {
		t.Errorf("one step: %v", err)
	}
	e, _ := newPool(t, 0).engine()
	d := core.Declaration{By: core.DeclaredIn("rack.yaml")}
	for i := range 10 {
		d.Steps = append(d.Steps, core.Step{Name: fmt.Sprint("s", i), Script: &core.ScriptStep{Run: "true", Env: map[string]string{"X": dear}}})
	}
	if _, err := e.Apply(t.Context(), d, core.ApplyOptions{}); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), says) {
		t.Errorf("many steps: %v", err)
	}
}

// Of more text than a step may have no template is even looked at: one that nests millions
// deep would end this program.
func TestTemplatesThatAreTooLong(t *testing.T) {
	text := "http://" + strings.Repeat("{{if 1}}", 2_000_000)
	request := core.HTTPRequest{URL: text}
	for _, s := range []core.Step{
		{HTTP: &core.HTTPStep{HTTPRequest: request}},
		{HTTP: &core.HTTPStep{HTTPRequest: core.HTTPRequest{URL: "http://cmdb"}, Check: &request}},
		{Script: &core.ScriptStep{Run: "true", Env: map[string]string{"X": text}}},
		{CloudInit: &core.CloudInitStep{Config: text}},
		{Plugin: &core.PluginStep{Name: "p", Config: core.FreeForm{"a": text}}},
		{Ansible: &core.AnsibleStep{Path: "/site.yml", Vars: core.FreeForm{"a": text}}},
	} {
		s.Name = "s"
		if err := s.Validate(); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "and the most is 256 KiB") {
			t.Errorf("%s: %.200v", s.Kind(), err)
		}
	}
}

// FuzzTemplates fills in what anybody may write.
func FuzzTemplates(f *testing.F) {
	for _, seed := range []string{
		"{{.Node.ID}}", `{{index .Node.Labels "rack"}}`, `{{json .}}`, `{{secret "X"}}`, "{{range .Node.MACs}}{{.}}{{end}}", "{{range 9999999999}}{{end}}",
		`{{define "a"}}{{template "a" .}}{{end}}{{template "a" .}}`, `{{printf "%*[2]d%99999d" 1 2}}`, `{{$x := "a"}}{{$x = print $x $x}}{{$x}}`, `{{with .Machine}}{{.Name | printf "%q" | js | html | urlquery}}{{else}}{{end}}`,
		`{{slice .Node.ID 0 9}}`, `{{call .Pool}}`, "{{- /* x */ -}}", "{{block \"b\" .}}{{break}}{{end}}", "{{if and .Pool (not .Attempt)}}", "{{len .Node.Memory}}", "{{.Node.Labels.rack}}",
	} {
		f.Add(seed)
	}
	facts := core.StepRun{Facts: core.Facts{Pool: "p", Attempt: "d-1", Node: core.NodeFacts{ID: "n1", Memory: 1 << 40, CPUs: 64, MACs: []string{"a", "b"}, Labels: map[string]string{"rack": "{{r1}}"}}}}
	f.Fuzz(func(t *testing.T, text string) {
		filled, err := facts.Expand(text, noSecret)
		if len(filled) > 1<<20 && len(filled) > len(text) || err != nil && filled != "" {
			t.Errorf("it makes %d bytes, %v", len(filled), err)
		}
		tree := core.FreeForm{"a": []any{text, map[string]any{text: text}}}
		_, whole := tree.Expand(facts)
		if err == nil && whole != nil && !strings.Contains(whole.Error(), "secrets are handed on") {
			t.Errorf("it is filled in alone, and in a config: %v", whole)
		}
		s := core.Step{Name: "s", Script: &core.ScriptStep{Run: "true", Env: map[string]string{"X": text}}}
		if err := s.Validate(); err != nil && !core.Is(err, core.Invalid) {
			t.Errorf("not Invalid: %v", err)
		}
	})
}
