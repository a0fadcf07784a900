//go:build linux

package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/labtest"
)

// plugin is the driver as users have it.
var plugin = labtest.Program{Name: "docker-machine-driver-metalpool"}

func TestMain(m *testing.M) { plugin.Main(m) }

// rig is a rack, and what docker-machine runs in.
type rig struct {
	*labtest.Rack
	dockerMachine string
	home          string
	settings      []string // the environment of docker-machine, beside our own
}

// newRig starts a rack of nodes that are clean and ready, in dir.
func newRig(t testing.TB, dir string, nodes int) *rig {
	t.Helper()
	image := filepath.Join(dir, "image.raw")
	labtest.WriteImage(t, image)
	return startRig(t, dir, lab.Config{Nodes: nodes}, image, labtest.Patience)
}

// startRig starts a rack and enrolls and cleans its nodes.
func startRig(t testing.TB, dir string, c lab.Config, image string, patience time.Duration) *rig {
	t.Helper()
	needs.Program(t, "scp", "openssh-client")
	r := &rig{Rack: labtest.Start(t, dir, c), dockerMachine: needs.DockerMachine(t), home: filepath.Join(dir, "home")}
	r.Patience = patience
	if err := os.MkdirAll(r.home, 0o700); err != nil {
		t.Fatal(err)
	}
	r.settings = append(r.Settings(),
		"PATH="+plugin.Dir(t)+":"+filepath.Dir(r.dockerMachine)+":"+os.Getenv("PATH"),
		"HOME="+r.home, "MACHINE_STORAGE_PATH="+filepath.Join(r.home, "machine"), "MACHINE_BUGSNAG_API_TOKEN=no-report",
	)
	r.Fill(t, labtest.Image("lab", image))
	// First creates side by side race on docker-machine's own CA.
	r.run(t, "create", "-d", "none", "--url", "tcp://localhost:2376", "ca")
	r.run(t, "rm", "-f", "ca")
	return r
}

func (r *rig) command(t testing.TB, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), r.dockerMachine, args...)
	cmd.Env = append(os.Environ(), r.settings...)
	return cmd
}

// run runs docker-machine, which must succeed.
func (r *rig) run(t testing.TB, args ...string) {
	t.Helper()
	out, err := r.command(t, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker-machine %v: %v\n%s", args, err, out)
	}
}

// reach waits until a machine is as wanted.
func (r *rig) reach(t testing.TB, name string, wanted func(core.Machine) bool) error {
	_, err := r.Await(t, name, wanted)
	return err
}
