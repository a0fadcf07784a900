package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a rack file says of a pool's profiles is seen at the pool.
func TestPoolShowsItsProfiles(t *testing.T) {
	onFilledPool(t)
	file := filepath.Join(t.TempDir(), "rack.yaml")
	const rack = `
steps:
- name: agent
  script:
    run: "true"
profiles:
- {name: base, steps: [agent]}
- {name: bare, steps: []}
pools:
- {name: default, profile: base, profiles: [bare]}
`
	if err := os.WriteFile(file, []byte(rack), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := command(t, "apply", "-f", file); got.code != exitOK {
		t.Fatal(got.stderr)
	}
	for args, want := range map[string][]string{
		"pool show default":         {"Profile        base\n", "Also offers    bare\n"},
		"pool show default -o json": {`"profile": "base"`, `"profiles": [`},
	} {
		got := command(t, strings.Fields(args)...)
		for _, line := range want {
			if !strings.Contains(got.stdout, line) {
				t.Errorf("%s lacks %q:\n%s%s", args, line, got.stdout, got.stderr)
			}
		}
	}
}
