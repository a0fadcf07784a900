package needs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// ended is a test that records how it was ended.
type ended struct {
	testing.TB
	failed, skipped string
}

func (e *ended) Helper()                  {}
func (e *ended) Name() string             { return "TestOfAnother" }
func (e *ended) Context() context.Context { return context.Background() }
func (e *ended) Skip(args ...any)         { e.skipped = fmt.Sprint(args...); runtime.Goexit() }
func (e *ended) Fatal(args ...any)        { e.failed = fmt.Sprint(args...); runtime.Goexit() }
func (e *ended) Fatalf(f string, a ...any) {
	e.failed = fmt.Sprintf(f, a...)
	runtime.Goexit()
}

// end runs f as a test of its own and returns how it ended.
func end(f func(testing.TB)) *ended {
	e := &ended{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(e)
	}()
	<-done
	return e
}

func TestMissing(t *testing.T) {
	for _, test := range []struct {
		ci                        string
		failed, skipped, recorded string
	}{
		{ci: "true", failed: "needs a rack (with CI=true nothing is skipped)"},
		{ci: "", skipped: "needs a rack", recorded: "TestOfAnother needs a rack\n"},
		{ci: "false", skipped: "needs a rack", recorded: "TestOfAnother needs a rack\n"},
	} {
		t.Run("CI="+test.ci, func(t *testing.T) {
			record := filepath.Join(t.TempDir(), "skipped")
			t.Setenv("CI", test.ci)
			t.Setenv("METALPOOL_TEST_SKIPPED", record)

			got := end(func(tb testing.TB) { Missing(tb, "a rack") })
			if got.failed != test.failed || got.skipped != test.skipped {
				t.Errorf("failed %q, skipped %q; want %q, %q", got.failed, got.skipped, test.failed, test.skipped)
			}
			recorded, err := os.ReadFile(record)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if string(recorded) != test.recorded {
				t.Errorf("recorded %q; want %q", recorded, test.recorded)
			}
		})
	}
}

func TestProgramFindsWhatThereIs(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "metalpool-test-program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if got := Program(t, "metalpool-test-program", "no-such-package"); got != path {
		t.Errorf("got %q; want %q", got, path)
	}
}

// A stand-in for apt-get, so that the test asks nothing of Debian: it fails
// until it was told to update, as on an image without lists of packages.
const aptGet = `#!/bin/sh
cd "$(dirname "$0")"
echo "$@" >>calls
case "$1" in
update) : >updated ;;
install)
	test -e updated || { echo "E: Unable to locate package"; exit 100; }
	printf '#!/bin/sh\n' >metalpool-test-program
	chmod +x metalpool-test-program ;;
esac
`

func TestProgramInstallsItsPackage(t *testing.T) {
	if os.Getuid() != 0 {
		t.Setenv("CI", "")
		got := end(func(tb testing.TB) { Program(tb, "metalpool-test-program", "the-package") })
		if !strings.Contains(got.skipped, "sudo apt-get install the-package") {
			t.Errorf("skipped %q; want the command that root has to run", got.skipped)
		}
		return
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "apt-get"), []byte(aptGet), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")

	path := Program(t, "metalpool-test-program", "the-package")
	if want := filepath.Join(dir, "metalpool-test-program"); path != want {
		t.Errorf("got %q; want %q", path, want)
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	install := "install -y --no-install-recommends -o DPkg::Lock::Timeout=300 the-package\n"
	if want := install + "update\n" + install; string(calls) != want {
		t.Errorf("apt-get was called with\n%swant\n%s", calls, want)
	}
}

func TestDockerMachine(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), DockerMachine(t), "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "docker-machine version 0.16.2") {
		t.Errorf("docker-machine version: %v: %s", err, out)
	}

	t.Setenv("METALPOOL_TEST_DOCKER_MACHINE", filepath.Join(t.TempDir(), "none"))
	got := end(func(tb testing.TB) { DockerMachine(tb) })
	if !strings.Contains(got.failed, "METALPOOL_TEST_DOCKER_MACHINE names no program") {
		t.Errorf("failed %q; want the variable's name", got.failed)
	}
}

func TestBuildDockerMachine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "bin", "docker-machine")
	if err := buildDockerMachine(t, path); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), path, "version").CombinedOutput(); err != nil {
		t.Errorf("what was built does not run: %v: %s", err, out)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("bin/ holds %v (%v); want docker-machine alone", left, err)
	}
}
