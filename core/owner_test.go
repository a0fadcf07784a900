package core

import (
	"os"
	"strings"
	"testing"
)

func TestDefaultOwner(t *testing.T) {
	t.Setenv("METALPOOL_OWNER", "team-a")
	if got := DefaultOwner(); got != "team-a" {
		t.Errorf("with METALPOOL_OWNER=team-a: %q", got)
	}
	t.Setenv("METALPOOL_OWNER", "")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	name, found := strings.CutSuffix(DefaultOwner(), "@"+host)
	if !found || name == "" {
		t.Errorf("got %q, want user@%s", DefaultOwner(), host)
	}
}

func TestSplitOwner(t *testing.T) {
	for word, want := range map[string][2]string{
		"web":          {"", "web"},
		"ann/web":      {"ann", "web"},
		"ann@h/ci/web": {"ann@h/ci", "web"},
		"ann/":         {"ann", ""},
		"/web":         {"", "web"},
	} {
		owner, name, both := SplitOwner(word)
		if owner != want[0] || name != want[1] || both != strings.Contains(word, "/") {
			t.Errorf("%q is %q of %q, %v", word, name, owner, both)
		}
	}
}
