package needs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTerraform(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module test\n")
	t.Chdir(dir)
	t.Setenv("PATH", "")
	t.Setenv("CI", "true")
	t.Setenv("METALPOOL_TEST_TERRAFORM", "")
	want := func(path string) {
		t.Helper()
		if got := Terraform(t); got != path {
			t.Errorf("it is %q, want %q", got, path)
		}
	}

	if e := end(func(t testing.TB) { Terraform(t) }); !strings.Contains(e.failed, "make opentofu") {
		t.Errorf("without any: %q", e.failed)
	}
	built := write(t, filepath.Join(dir, "bin", "tofu"), "")
	want(built)
	there := write(t, filepath.Join(dir, "path", "terraform"), "")
	t.Setenv("PATH", filepath.Dir(there))
	want(there)
	t.Setenv("METALPOOL_TEST_TERRAFORM", built)
	want(built)
	t.Setenv("METALPOOL_TEST_TERRAFORM", dir)
	if e := end(func(t testing.TB) { Terraform(t) }); !strings.Contains(e.failed, "METALPOOL_TEST_TERRAFORM names no program") {
		t.Errorf("with one that is none: %q", e.failed)
	}
}

// TestChosenTerraform has the script choose what make test and make demo run.
func TestChosenTerraform(t *testing.T) {
	script := filepath.Join(repository(t), "tools", "terraform.sh")
	for _, c := range []struct {
		name string
		path map[string]string // programs, and what they say of their version
		want string            // the program that is taken; "" is the one that is built
		says string
	}{
		{"terraform", map[string]string{"terraform": "Terraform v1.11.4", "tofu": "OpenTofu v1.12.6"}, "terraform", ""},
		{"two", map[string]string{"terraform": "Terraform v2.0.0-beta1"}, "terraform", ""},
		{"old terraform", map[string]string{"terraform": "Terraform v1.5.7", "tofu": "OpenTofu v1.12.6"}, "tofu", "terraform is 1.5.7, and the provider wants 1.11 or newer"},
		{"tofu", map[string]string{"tofu": "OpenTofu v1.11.0"}, "tofu", "There is no terraform on the PATH"},
		{"old tofu", map[string]string{"tofu": "OpenTofu v1.9.1"}, "", "tofu is 1.9.1, and the provider wants 1.11 or newer"},
		{"neither", nil, "", "There is no tofu on the PATH"},
		{"no version", map[string]string{"terraform": "what?"}, "", "terraform tells no version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, version := range c.path {
				write(t, filepath.Join(dir, name), "#!/bin/sh\necho '"+version+"'\necho on linux_amd64\n")
			}
			called := filepath.Join(dir, "called")
			builds := write(t, filepath.Join(dir, "builds"), "#!/bin/sh\necho \"$@\" >"+called+"\n")
			for _, name := range []string{"bash", "dirname", "sed"} {
				path, err := exec.LookPath(name)
				if err == nil {
					err = os.Symlink(path, filepath.Join(dir, name))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), script)
			cmd.Env = []string{"PATH=" + dir, "MAKE=" + builds}
			var said strings.Builder
			cmd.Stderr = &said
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, said.String())
			}
			want := filepath.Join(dir, c.want)
			if c.want == "" {
				want = filepath.Join(repository(t), "bin", "tofu")
			}
			if got := strings.TrimSpace(string(out)); got != want || !strings.Contains(said.String(), c.says) {
				t.Errorf("it chooses %s, want %s, and says %q, want %q", got, want, said.String(), c.says)
			}
			if _, err := os.Stat(called); (err == nil) != (c.want == "") {
				t.Errorf("make was called: %v", err == nil)
			}
		})
	}
}

// write makes a program.
func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
