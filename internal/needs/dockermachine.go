package needs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// DockerMachine returns the path of the real docker-machine: the one that
// METALPOOL_TEST_DOCKER_MACHINE names, else bin/docker-machine of this
// repository, built from tools/docker-machine if it is not there.
func DockerMachine(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("METALPOOL_TEST_DOCKER_MACHINE"); path != "" {
		if _, err := exec.LookPath(path); err != nil {
			t.Fatalf("METALPOOL_TEST_DOCKER_MACHINE names no program: %v", err)
		}
		return path
	}
	path := filepath.Join(repository(t), "bin", "docker-machine")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := buildDockerMachine(t, path); err != nil {
		t.Fatalf("docker-machine is not in bin/ and cannot be built: %v", err)
	}
	return path
}

// buildDockerMachine renames the finished binary into place: another test
// process may be building it, or running it, at the same time.
func buildDockerMachine(t testing.TB, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	//nolint:usetesting // only within one file system is a rename atomic
	dir, err := os.MkdirTemp(filepath.Dir(path), "docker-machine-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	built := filepath.Join(dir, "docker-machine")
	source := filepath.Join(repository(t), "tools", "docker-machine")
	// Static, as make builds it: a test has it run in a container with nothing else.
	if err := run(t.Context(), "env", "CGO_ENABLED=0", "go", "build", "-C", source, "-trimpath", "-ldflags=-s -w", "-o", built, "."); err != nil {
		return err
	}
	return os.Rename(built, path)
}

// repository returns the root of this module: the first directory above the
// test's own that has a go.mod.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("the test does not run inside the metalpool repository: there is no go.mod above it")
		}
		dir = parent
	}
}
