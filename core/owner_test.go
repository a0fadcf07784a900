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
