package main

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/golden anew")

// views is every command that only shows, with what it is called in testdata.
var views = map[string][]string{
	"node-list":              {"node", "list"},
	"node-list-labels":       {"node", "list", "--label", "rack=r2,zone in (a,b)"},
	"node-list-states":       {"node", "list", "--state", "quarantined,Cleaning"},
	"node-list-json":         {"node", "list", "-o", "json", "--state", "Deployed"},
	"node-list-nothing-json": {"node", "list", "-o", "json", "--pool", "spare"},
	"node-show":              {"node", "show", "r1-n2"},
	"node-show-quarantined":  {"node", "show", "r1-n4"},
	"node-show-json":         {"node", "show", "r1-n2", "-o", "json"},
	"node-events":            {"node", "events", "r1-n2"},
	"node-events-last":       {"node", "events", "-n", "2"},
	"node-events-json":       {"node", "events", "r1-n3", "-o", "json"},
	"pool-list":              {"pool", "list"},
	"pool-list-json":         {"pool", "list", "-o", "json"},
	"pool-show":              {"pool", "show", "default"},
	"image-list":             {"image", "list"},
	"image-list-json":        {"image", "list", "-o", "json"},
	"machine-list":           {"machine", "list"},
	"machine-list-all":       {"machine", "list", "--all", "--owner", "alice@desk"},
	"machine-list-json":      {"machine", "list", "-o", "json"},
	"machine-show":           {"machine", "show", "web-1"},
	"machine-show-json":      {"machine", "show", "bob@desk/db-1", "-o", "json"},
	"machine-logs":           {"machine", "logs", "m-web"},
	"watch-once":             {"watch", "--once"},
	"watch-once-json":        {"watch", "--once", "-o", "json", "--state", "Cleaning"},
	"check-json":             {"check", "-o", "json"},
	"stats":                  {"stats"},
	"stats-none-json":        {"stats", "--by", "none", "--pool", "default", "-o", "json"},
}

// Times differ between two runs. Those of tables keep their width.
var (
	stamps = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)
	days   = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\d\n`)
	clocks = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d`)
	times  = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)
)

func TestOutput(t *testing.T) {
	onFilledPool(t)
	for name, args := range views {
		t.Run(name, func(t *testing.T) {
			got := command(t, args...)
			if got.code != exitOK {
				t.Fatalf("metalpool %s exited with %d: %s", strings.Join(args, " "), got.code, got.stderr)
			}
			if strings.HasSuffix(name, "-json") && !json.Valid([]byte(got.stdout)) {
				t.Fatalf("this is no JSON: %s", got.stdout)
			}
			golden(t, filepath.Join("golden", name), got.stdout)
		})
	}
}

// golden holds a text, but for its times, to a file in testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	text = times.ReplaceAllString(stamps.ReplaceAllString(text, "YYYY-MM-DD hh:mm:ss"), "TIME")
	text = clocks.ReplaceAllString(days.ReplaceAllString(text, ""), "hh:mm:ss") // there may have been a midnight
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("this was printed\n%s\nand %s wants\n%s", text, file, want)
	}
}

// TestGoldenFilesAreUsed finds files that no test compares with any more.
func TestGoldenFilesAreUsed(t *testing.T) {
	files, err := os.ReadDir(filepath.Join("testdata", "golden"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if views[file.Name()] == nil {
			t.Errorf("testdata/golden/%s belongs to no view", file.Name())
		}
	}
}

// TestNoSecretLeaks is the invariant, as far as this command prints: neither a
// secret nor its sealed form, in no format.
func TestNoSecretLeaks(t *testing.T) {
	onFilledPool(t)
	sealed := regexp.MustCompile(base64.StdEncoding.EncodeToString([]byte("age-encryption.org/v1"))[:24])
	for name, args := range views {
		for _, format := range []string{"table", "json"} {
			got := command(t, append(args, "-o", format)...)
			all := got.stdout + got.stderr
			for _, secret := range []string{bmcPassword, "hunter2", "age-encryption", "token@", "signature=abc", "user_data", `"secret"`} {
				if strings.Contains(all, secret) {
					t.Errorf("%s -o %s prints %q:\n%s", name, format, secret, all)
				}
			}
			if sealed.MatchString(all) {
				t.Errorf("%s -o %s prints a sealed secret:\n%s", name, format, all)
			}
			if strings.ContainsAny(all, "\x1b\r") {
				t.Errorf("%s -o %s passes control characters on: %q", name, format, all)
			}
		}
	}
}
