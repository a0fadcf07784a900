package labtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/metalpool/metalpool/internal/needs"
)

// DockerMachine is the real docker-machine with the driver, on a rack's pool and in a home
// of its own.
type DockerMachine struct {
	Program     string
	Environment []string // beside our own
}

// NewDockerMachine gives docker-machine a driver and a home in dir.
func NewDockerMachine(t testing.TB, r *Rack, driver *Program, dir string) *DockerMachine {
	t.Helper()
	needs.Program(t, "scp", "openssh-client")
	home := filepath.Join(dir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		t.Fatal(err)
	}
	d := &DockerMachine{Program: needs.DockerMachine(t)}
	d.Environment = append(r.Settings(),
		"PATH="+driver.Dir(t)+":"+filepath.Dir(d.Program)+":"+os.Getenv("PATH"),
		"HOME="+home, "MACHINE_STORAGE_PATH="+filepath.Join(home, "machine"), "MACHINE_BUGSNAG_API_TOKEN=no-report",
	)
	// First creates side by side race on docker-machine's own CA.
	d.Run(t, "create", "-d", "none", "--url", "tcp://localhost:2376", "ca")
	d.Run(t, "rm", "-f", "ca")
	return d
}

// Command is docker-machine, not started yet.
func (d *DockerMachine) Command(t testing.TB, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), d.Program, args...)
	cmd.Env = append(os.Environ(), d.Environment...)
	return cmd
}

// Run runs docker-machine, which must succeed, and returns what it says.
func (d *DockerMachine) Run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := d.Command(t, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker-machine %v: %v\n%s", args, err, out)
	}
	return string(out)
}
