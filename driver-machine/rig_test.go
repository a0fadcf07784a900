//go:build linux

package main_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/labtest"
)

// plugin is the driver as users have it.
var plugin = labtest.Program{Name: "docker-machine-driver-metalpool"}

// metalpool is the operator's command, whose serve others go through.
var metalpool = labtest.Program{Name: "metalpool", Package: "../cmd/metalpool"}

func TestMain(m *testing.M) { labtest.Main(m, &plugin, &metalpool) }

// rig is a rack, and docker-machine beside it.
type rig struct {
	*labtest.Rack
	*labtest.DockerMachine
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
	r := &rig{Rack: labtest.Start(t, dir, c)}
	r.Patience = patience
	r.Fill(t, labtest.Image("lab", image))
	r.DockerMachine = labtest.NewDockerMachine(t, r.Rack, &plugin, dir)
	return r
}

// reach waits until a machine is as wanted.
func (r *rig) reach(t testing.TB, name string, wanted func(core.Machine) bool) error {
	_, err := r.Await(t, name, wanted)
	return err
}
