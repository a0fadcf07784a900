package lab

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/qemu"
)

// What was changed by hand in a lab's folder is refused before anything is made of it.
func TestAFolderThatWasChanged(t *testing.T) {
	l := &Lab{config: Config{Dir: t.TempDir(), Vendors: DefaultVendors}}
	setDefaults(&l.config)
	const secret = "hunter2"
	for name, c := range map[string]struct {
		vm     bool
		change func(c *card)
		want   string
	}{
		"a name that leads elsewhere": {false, func(c *card) { c.ID = "../../n001" }, "a node's name is not one"},
		"an address of the world":     {false, func(c *card) { c.Address = "0.0.0.0" }, "no loopback address"},
		"no port":                     {false, func(c *card) { c.BMCPort = 0 }, "the port of its BMC, 0, is none"},
		"a shape that is not known":   {false, func(c *card) { c.Shape = 99 }, "shape that this lab does not know"},
		"no MACs":                     {true, func(c *card) { c.Parts.MACs = nil }, "0 MACs for 1 network ports"},
		"a serial number too few":     {true, func(c *card) { c.Parts.Disks = nil }, "0 serial numbers for 1 disks"},
		"a port twice":                {true, func(c *card) { c.VM.AgentPort = 22; c.SSHPort = 22 }, "SSH and agent cannot both have port 22"},
		"no processors":               {true, func(c *card) { c.VM.CPUs = 0 }, "a VM needs processors"},
		"a disk of no size":           {true, func(c *card) { c.VM.Disks = slices.Clone(c.VM.Disks); c.VM.Disks[0].Size = 0 }, "at least 64 MiB"},
		"a bus that is none":          {true, func(c *card) { c.VM.CD = qemu.NVMe }, `a CD drive at "nvme"`},
		"a card with options":         {true, func(c *card) { c.VM.Ports = []vmPort{{Model: "e1000e,netdev=x"}} }, "no model of a network card"},
		"kinds that differ":           {false, func(c *card) { c.VM = (VM{}).newVMCard(0, 7443); s, _ := c.shape(); c.Parts = newParts(s) }, "another kind than the first"},
	} {
		t.Run(name, func(t *testing.T) {
			var vms *VM
			if c.vm {
				vms = &VM{}
			}
			var r rack
			for i := range 2 {
				made, err := l.newCard(i*len(vmKinds), "127.77.0.11", vms)
				if err != nil {
					t.Fatal(err)
				}
				made.Password, made.Key = secret, secret
				r.Nodes = append(r.Nodes, made)
			}
			r.Net = "127.77.0.0/16"
			c.change(&r.Nodes[1])
			text, err := json.Marshal(r)
			if err == nil {
				err = os.WriteFile(filepath.Join(l.config.Dir, rackName), text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.load(); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}
