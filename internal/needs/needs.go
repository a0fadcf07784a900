// Package needs is how a test says which program outside this module it cannot
// do without.
//
// A test that quietly skips proves nothing, so a missing Debian package is
// installed where the process may do so (root, with apt-get), a missing
// docker-machine is built, and only what is left skips. With CI=true it fails.
package needs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Program returns the path of the program name, installing the Debian package
// pkg for it where that is possible. Otherwise it ends the test: skipped, or
// failed with CI=true.
func Program(t testing.TB, name, pkg string) string {
	t.Helper()
	if path, ok := find(name); ok {
		return path
	}
	if err := install(t, pkg); err != nil {
		Missing(t, fmt.Sprintf("the program %q of Debian's package %s: %v", name, pkg, err))
	}
	path, ok := find(name)
	if !ok {
		t.Fatalf("package %s is installed and holds no program %q: name the right package in the test", pkg, name)
	}
	return path
}

// Missing ends a test that cannot run here for lack of what, which reads after
// "needs". The test is skipped, and its skip is added to the file that
// METALPOOL_TEST_SKIPPED names, since go test shows none of a package that
// passes. With CI=true the test fails.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs %s (with CI=true nothing is skipped)", what)
	}
	if name := os.Getenv("METALPOOL_TEST_SKIPPED"); name != "" {
		if err := appendLine(name, t.Name()+" needs "+what); err != nil {
			t.Fatalf("needs %s, and the skip cannot be recorded: %v", what, err)
		}
	}
	t.Skip("needs " + what)
}

// find looks where an administrator's PATH would, too: mke2fs and its like are
// in directories that a user's PATH leaves out.
func find(name string) (string, bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, true
		}
	}
	return "", false
}

func appendLine(name, line string) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	// One write, so that the lines of test processes side by side stay whole.
	if _, err := f.WriteString(strings.ReplaceAll(line, "\n", " ") + "\n"); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

// file returns path, a file that is no program, installing the Debian package pkg for
// it as Program does.
func file(t testing.TB, path, pkg string) string {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := install(t, pkg); err != nil {
		Missing(t, fmt.Sprintf("the file %s of Debian's package %s: %v", path, pkg, err))
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("package %s is installed and holds no %s: name the right package in the test", pkg, path)
	}
	return path
}
