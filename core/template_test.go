package core_test

import (
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

func noSecret(string) (string, error) { return "s3cret", nil }

// Whatever a template asks for, it ends, and holds little.
func TestTemplatesWithoutEnd(t *testing.T) {
	doubling := `{{$x := "0123456789"}}` + strings.Repeat(`{{$x = %s}}`, 60)
	long := strings.Repeat("0123456789", 2_000)
	facts := core.Facts{Node: core.NodeFacts{ID: "n1", Memory: 1 << 40, MACs: []string{"a", "b"}}}
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
		"{{countTurn}}": "function \"countTurn\" not defined",
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
	} {
		if got, err := facts.Expand(text, noSecret); err != nil || got != want {
			t.Errorf("%s: %q, %v", text, got, err)
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
	facts := core.Facts{Pool: "p", Attempt: "d-1", Node: core.NodeFacts{ID: "n1", Memory: 1 << 40, CPUs: 64, MACs: []string{"a", "b"}, Labels: map[string]string{"rack": "{{r1}}"}}}
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
