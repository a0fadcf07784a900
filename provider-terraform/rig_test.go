//go:build linux

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/labtest"
	"github.com/metalpool/metalpool/provider-terraform/provider"
)

// built is the provider as users have it.
var built = labtest.Program{Name: "terraform-provider-metalpool"}

// driver is that of docker-machine, which takes servers of the same pools.
var driver = labtest.Program{Name: "docker-machine-driver-metalpool", Package: "../driver-machine"}

func TestMain(m *testing.M) {
	// What the user of this machine told terraform is not for the tests.
	for name, value := range map[string]string{"TF_CLI_CONFIG_FILE": os.DevNull, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	labtest.Main(m, &built, &driver, &metalpool)
}

const owner = labtest.Owner

// key is a public key that nobody has the private half of.
const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEdQVC7RBMF5JYcZDrR2zVSpFUs+yP4YSAlOhgmsAr9X test"

// rig is a rack, with files of images.
type rig struct{ *labtest.Rack }

// bareRig starts a rack whose nodes nobody has enrolled, and makes files of images: the
// pool is empty.
func bareRig(t testing.TB, nodes int) *rig {
	t.Helper()
	r := &rig{labtest.Start(t, t.TempDir(), lab.Config{Nodes: nodes})}
	for _, name := range labImages {
		labtest.WriteImage(t, r.image(name))
	}
	r.Engine(t)
	return r
}

var labImages = []string{"lab", "lab-2"}

// image is where an image's file is.
func (r *rig) image(name string) string { return filepath.Join(r.Dir, name+".raw") }

// newRig starts a rack of nodes that are clean and ready.
func newRig(t testing.TB, nodes int) *rig {
	t.Helper()
	r := bareRig(t, nodes)
	var images []core.Image
	for _, name := range labImages {
		images = append(images, labtest.Image(name, r.image(name)))
	}
	images[1].User = "admin" // of another distribution, so to speak
	r.Fill(t, images...)
	return r
}

// machine finds one by its name; false where there is none.
func (r *rig) machine(t testing.TB, name string) (core.Machine, bool) {
	t.Helper()
	m, err := r.Engine(t).MachineNamed(t.Context(), owner, name)
	if err != nil && !core.Is(err, core.NotFound) {
		t.Fatal(err)
	}
	return m, err == nil
}

// reach waits until a machine is as wanted.
func (r *rig) reach(t testing.TB, name string, wanted func(core.Machine) bool) core.Machine {
	t.Helper()
	m, err := r.Await(t, name, wanted)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// givenBack checks that all servers are free, and that the pool has no machine.
func (r *rig) givenBack(t testing.TB) {
	t.Helper()
	r.Settle(t)
	e := r.Engine(t)
	machines, err := e.Machines(t.Context(), core.AllocationFilter{Live: true})
	if err != nil || len(machines) > 0 {
		t.Errorf("machines are left: %v, %v", machines, err)
	}
	nodes, err := e.Nodes(t.Context(), core.NodeFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if n.State != core.Available {
			t.Errorf("%s is %s: %s", n.ID, n.State, n.Reason)
		}
	}
}

// inProcess are providers that run in the test, under its race detector.
func inProcess() map[string]func() (tfprotov6.ProviderServer, error) {
	return map[string]func() (tfprotov6.ProviderServer, error){"metalpool": providerserver.NewProtocol6WithError(provider.New("test")())}
}

// block is the provider's block for the rig.
func (r *rig) block() string {
	return fmt.Sprintf("provider \"metalpool\" {\n  url   = %q\n  owner = %q\n}\n", r.URL, owner)
}

// work is a folder with a configuration in which the real terraform runs the real
// provider.
type work struct {
	r         *rig
	terraform string
	dir       string
	settings  []string
}

func (r *rig) newWork(t testing.TB, config string) *work {
	t.Helper()
	w := &work{r: r, terraform: realTerraform(t), dir: t.TempDir()}
	cli := filepath.Join(w.dir, "cli.tfrc")
	text := fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"metalpool/metalpool\" = %q\n  }\n  direct {}\n}\n", built.Dir(t))
	if err := os.WriteFile(cli, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.settings = append(r.Settings(), "TF_CLI_CONFIG_FILE="+cli, "HOME="+w.dir)
	w.write(t, config)
	return w
}

const sources = "terraform {\n  required_providers {\n    metalpool = {\n      source = \"metalpool/metalpool\"\n    }\n  }\n}\n"

func (w *work) write(t testing.TB, config string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "main.tf"), []byte(sources+config), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *work) command(t testing.TB, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), w.terraform, args...)
	cmd.Dir, cmd.Env = w.dir, append(os.Environ(), w.settings...)
	return cmd
}

// run runs terraform, which must succeed.
func (w *work) run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := w.command(t, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("terraform %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (w *work) apply(t testing.TB) string { return w.run(t, "apply", "-auto-approve", "-no-color") }
func (w *work) destroy(t testing.TB)      { w.run(t, "destroy", "-auto-approve", "-no-color") }
