package provider

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/metalpool/metalpool/core"
)

func TestDiagnostics(t *testing.T) {
	deep := &core.Error{
		Op: "create", Allocation: "web-1", Kind: core.Backend,
		Err: &core.Error{Op: "write", Node: "n7", Kind: core.Backend, Err: errors.New("medium error"), Hint: "see 'metalpool node events n7'; the same request tries again, release gives it back"},
	}
	told := &story{next: ofCreate, last: core.Progress{Step: "write image", Message: "43%"}}
	for _, test := range []struct {
		name    string
		err     error
		at      path.Path
		summary string
		says    []string
	}{
		{"of a node", deep, path.Empty(), "Could not create web-1: the server refused or failed", []string{"medium error", "Node: n7", "Phase: write image: 43%", "What to do: see 'metalpool node events n7'", "terraform untaint"}},
		{"of a past", &core.Error{Op: "deploy", Node: "n7", Kind: core.Backend, Err: errors.New("medium error"), Before: []string{"03:04:05 n7 power on done", "03:24:05 n7 write image failed"}}, path.Empty(), "Could not deploy: the server refused or failed", []string{"Medium error.", "\n\nWhat happened before, in UTC:\n  03:04:05 n7 power on done\n  03:24:05 n7 write image failed"}},
		{"of an end", &core.Error{Op: "deploy", Node: "n7", Kind: core.Timeout, Err: errors.New("the time is over"), Hint: core.AdviceUnfinished + ", or allow more " + core.AdviceTime}, path.Empty(), "Could not deploy: it took too long", []string{"releases it and takes another", "terraform untaint", "with timeouts { create }"}},
		{"of an image", &core.Error{Op: "find image debain", Kind: core.NotFound, Err: errors.New("no such image"), Hint: "there are: debian"}, path.Root("image"), "Could not find image debain", []string{"there are: debian"}},
		{"of a pool", fmt.Errorf("so: %w", &core.Error{Op: "find pool ci", Kind: core.NotFound}), path.Root("pool"), "Could not find pool ci", nil},
		{"of capacity", &core.Error{Op: "acquire", Allocation: "web-1", Kind: core.NoCapacity, Err: errors.New("0 of 6"), Hint: "wait for one with --wait 30m"}, path.Root("requirements"), "Could not acquire web-1: no server fits now", []string{"0 of 6", `wait = "30m"`}},
		{"of a name", &core.Error{Op: "acquire", Allocation: "web-1", Kind: core.Exists}, path.Root("name"), "Could not acquire web-1: there is one already", nil},
		{"of a named node", &core.Error{Op: "acquire", Allocation: "web-1", Node: "n9", Kind: core.NotFound}, path.Root("node"), "Could not acquire web-1: something that it names does not exist", []string{"Node: n9"}},
		{"of metalpool", &core.Error{Op: "write", Kind: core.Internal, Err: errors.New("short")}, path.Empty(), "Could not write: a defect of metalpool", []string{"please report it"}},
		{"of a step", &core.Error{Op: "step agent", Kind: core.Unsuccessful, Err: errors.New("it ended with status 3")}, path.Empty(), "Step agent failed", nil},
		{"of a refusal", &core.Error{Op: "deploy", Allocation: "web-1", Kind: core.Invalid, Err: errors.New("no keys")}, path.Empty(), "Could not deploy web-1", []string{"No keys."}},
		{"of a node at work", &core.Error{Op: "work on", Node: "n7", Kind: core.Busy, Err: errors.New("ann works on it")}, path.Empty(), "Could not work on n7: it is in use", []string{"Ann works on it."}},
		{"of no question", &core.Error{Kind: core.Busy, Err: errors.New("why")}, path.Empty(), "metalpool failed: it is in use", nil},
		{"of nobody", errors.New("disk full"), path.Empty(), "metalpool failed", []string{"disk full", "please report it"}},
	} {
		var diags diag.Diagnostics
		orderFault(&diags, test.err, told)
		at := path.Empty()
		if with, ok := diags[0].(diag.DiagnosticWithPath); ok {
			at = with.Path()
		}
		if !at.Equal(test.at) || diags[0].Summary() != test.summary {
			t.Errorf("%s: at %s, %q", test.name, at, diags[0].Summary())
		}
		for _, word := range test.says {
			if !strings.Contains(diags[0].Detail(), word) {
				t.Errorf("%s does not say %q: %s", test.name, word, diags[0].Detail())
			}
		}
	}
}

func TestSentences(t *testing.T) {
	for said, want := range map[string]string{
		"":                            "",
		"medium error":                "Medium error",
		"éteint":                      "Éteint",
		"ann/db is there":             "ann/db is there",
		"https://host gives no image": "https://host gives no image",
		"10.0.0.7 does not answer":    "10.0.0.7 does not answer",
		"x509: signed by nobody":      "x509: signed by nobody",
		"tls: no certificate":         "tls: no certificate",
		"\"gpu\" is not a pool":       "\"gpu\" is not a pool",
		"web-1 is there":              "web-1 is there",
	} {
		if got := sentence(said); got != want {
			t.Errorf("%q is said as %q, not %q", said, got, want)
		}
	}
	_, err := core.ParseBytes("64")
	if text := said(err); strings.HasSuffix(text, ".") {
		t.Errorf("Terraform ends with a second full stop: %q", text)
	}
}
