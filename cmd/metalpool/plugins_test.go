package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readersKey is a key of nobody's.
const readersKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA8VmKtaGwfYqL4dNC1uzPn5jHc0o4s4dGaVmVYjBUDm reader\n"

// TestPluginsPage builds the plugin of docs/plugins.md and takes a machine with it, by the
// commands of the page, on a rack of the lab.
func TestPluginsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../../examples/step-plugin/main.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, quoted := range blocks(string(page), "go") {
		if !strings.Contains(string(source), quoted) {
			t.Errorf("the example does not have what the page quotes:\n%s", quoted)
		}
	}
	if lines := strings.Count(string(source), "\n"); lines >= 100 {
		t.Errorf("the example has %d lines", lines)
	}

	caches := goCaches(t)
	played := play(t)
	home, ok := played.home, played.ok
	declare := func(text string) { played.file("rack.yaml", text) }
	declared := filepath.Join(home, "rack.yaml")
	declare("pools: [{name: default, default_image: lab}]\n")
	ok("apply", "-f", declared)
	ok("node", "enroll", "--from", played.rack, "--erase", "--wait")

	// The reader's home, and the file that the page names, are in a folder of the test.
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Dir(played.file("own/main.go", string(source)))
	here := strings.NewReplacer("~/", home+"/", "/var/lib/metalpool/", home+"/made/", "rack.yaml", declared, "/path/of/metalpool", repository)
	file := here.Replace(strings.Join(blocks(string(page), "yaml"), ""))
	declare(file)
	said := map[string]string{}
	for _, typed := range commandsOf(string(page)) {
		words := strings.Fields(here.Replace(typed))
		if words[0] == "metalpool" {
			said[typed] = ok(words[1:]...)
			continue
		}
		cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
		cmd.Dir, cmd.Env = repository, append(os.Environ(), caches...)
		if strings.HasPrefix(typed, "go mod ") || strings.Contains(typed, " -mod=mod ") {
			cmd.Dir = own
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", typed, err, out)
		}
		said[typed] = string(out)
	}
	for typed, want := range map[string]string{
		"metalpool apply -f rack.yaml":          `(?m)^step +hosts +added`,
		"cat /var/lib/metalpool/machines.hosts": `^127\.\d+\.\d+\.\d+ web-1\.default\.example # \S+\n$`,
		"metalpool machine logs web-1":          `web-1 is in `,
	} {
		if !regexp.MustCompile(want).MatchString(said[typed]) {
			t.Errorf("%s printed no %s:\n%s", typed, want, said[typed])
		}
	}
	declare(strings.Replace(file, "file: "+home+"/", "file: ", 1))
	if got := command(t, "apply", "-f", declared); got.code != exitFailed || !strings.Contains(got.stderr, "plugin: file: say which, by its whole path") {
		t.Errorf("a config that the plugin refuses: %+v", got)
	}
	ok("machine", "release", "web-1", "--wait")
}

// blocks are those of a page that are of a kind.
func blocks(page, kind string) (all []string) {
	for _, block := range strings.Split(page, "```"+kind+"\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		all = append(all, block)
	}
	return all
}

// goCaches are the settings of Go that follow from a home.
func goCaches(t *testing.T) (settings []string) {
	t.Helper()
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		settings = append(settings, name+"="+strings.TrimSpace(string(out)))
	}
	return settings
}
