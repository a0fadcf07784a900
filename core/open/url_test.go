package open

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

func TestLocate(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_DATA_HOME", "/data")
	for _, test := range []struct{ raw, environment, want string }{
		{"", "", "/data/metalpool/pool.db"},
		{"", "p.db", filepath.Join(here, "p.db")},
		{"p.db", "/other.db", filepath.Join(here, "p.db")},
		{"../p.db", "", filepath.Join(filepath.Dir(here), "p.db")},
		{"/a//b/../p.db", "", "/a/p.db"},
		{"sqlite:///a/p.db", "", "/a/p.db"},
		{"https://Pool.example:7443/", "", "https://pool.example:7443"},
	} {
		t.Setenv(EnvURL, test.environment)
		if got, err := Locate(test.raw); err != nil || got != test.want {
			t.Errorf("Locate(%q) with METALPOOL_URL=%q: %q, %v; want %q", test.raw, test.environment, got, err, test.want)
		}
	}
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("HOME", "/home/x")
	t.Setenv(EnvURL, "")
	if got, err := Locate(""); err != nil || got != "/home/x/.local/share/metalpool/pool.db" {
		t.Errorf("without XDG_DATA_HOME: %q, %v", got, err)
	}
}

func TestLocateRefusesAndTellsNoSecret(t *testing.T) {
	for _, raw := range []string{
		"sqlite://host/a", "sqlite://", "sqlite:///a?x=s3cret", "http://x", "ftp://u:s3cret@h/", "x://?password=s3cret", "https://u:s3cret@h", "https://h/s3cret", "https://h?token=s3cret", "https://", "postgres://u:s3cret@h/db?x=s3cret", "postgres://u:s3cret%zz@h/db", "postgresql://h/db",
	} {
		got, err := Locate(raw)
		if !core.Is(err, core.Invalid) {
			t.Errorf("Locate(%q): %q, %v", raw, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the refusal tells a secret: %v", err)
		}
	}
}
