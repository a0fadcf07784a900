package lab

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/bmc"
	"github.com/metalpool/metalpool/lab/qemu"
)

func TestParseVMDisk(t *testing.T) {
	for text, want := range map[string]VMDisk{
		"nvme:8GiB":       {Bus: qemu.NVMe, Size: 8 * core.GiB},
		"scsi:16GiB:4096": {Bus: qemu.SCSI, Size: 16 * core.GiB, Sector: 4096},
		"sata:64MiB:512":  {Bus: qemu.SATA, Size: 64 * core.MiB, Sector: 512},
	} {
		if got, err := ParseVMDisk(text); got != want || err != nil {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                "BUS:SIZE",
		"nvme":            "BUS:SIZE",
		"nvme:8":          "not a size",
		"floppy:8GiB":     "there are nvme, sata, virtio and scsi",
		"usb:8GiB":        "there are nvme",
		"nvme:1MiB":       "at least 64 MiB",
		"nvme:8GB:x":      `sectors of "x" bytes`,
		"nvme:8GiB:520":   "there are 512 and 4096",
		"sata:8GiB:4096":  "take another bus",
		"nvme:8GiB:512:1": "BUS:SIZE",
	} {
		if _, err := ParseVMDisk(text); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", text, err, want)
		}
	}
}

func TestVMCheck(t *testing.T) {
	for want, v := range map[string]VM{
		"-1 processors":       {CPUs: -1},
		"100 MiB of memory":   {Memory: 100 * core.MiB},
		`a CD drive at "ide"`: {CD: "ide"},
		`accelerator "hvf"`:   {Accel: "hvf"},
		"7 disks":             {Disks: make([]VMDisk, 7)},
		`a disk at ""`:        {Disks: make([]VMDisk, 1)},
	} {
		_, err := Up(t.Context(), Config{Dir: t.TempDir(), VM: &v})
		if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %s", v, err, want)
		}
	}
}

// A machine is to find of itself what its BMC tells.
func TestVMIsWhatItsBMCTells(t *testing.T) {
	for i := range vmKinds {
		c := card{ID: "n001", Address: "127.0.0.9", Vendor: "openbmc", SSHPort: 2222, DockerPort: 2376, VM: VM{}.newVMCard(i, 7443)}
		s, err := c.shape()
		if err != nil {
			t.Fatal(err)
		}
		c.Parts = newParts(s)
		n, err := newNode(c, &Lab{config: Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}, qemu: &hypervisor{}})
		if err != nil {
			t.Fatal(err)
		}
		giveBMC(t, n)
		facts, got := n.Facts(), n.machine.(*vm).spec(bmc.Boot{Source: bmc.FromDisk})
		if got.UUID != facts.UUID || got.Serial != facts.Serial || got.Memory != facts.DIMMs[0].MiB || got.CPUs != facts.Processors[0].Threads {
			t.Errorf("%+v; its BMC tells %+v", got, facts)
		}
		if len(got.Disks) != len(facts.Drives) || len(got.Ports) != len(facts.NICs) {
			t.Fatalf("%d disks, %d ports; its BMC tells %+v", len(got.Disks), len(got.Ports), facts)
		}
		for j, d := range got.Disks {
			if d.Serial != facts.Drives[j].Serial || d.WWN != wwnNumber(facts.Drives[j].WWN) || (d.WWN != 0) != (d.Bus == qemu.SATA || d.Bus == qemu.SCSI) {
				t.Errorf("disk %+v; its BMC tells %+v", d, facts.Drives[j])
			}
		}
		for j, p := range got.Ports {
			if p.MAC != facts.NICs[j].MAC || (p.Network == qemu.NoCable) != facts.NICs[j].Down {
				t.Errorf("port %+v; its BMC tells %+v", p, facts.NICs[j])
			}
		}
		e := n.entry()
		if e.Agent.Advertise != "10.0.2.2" || e.Agent.Address != "127.0.0.9:7443" {
			t.Errorf("its agent is at %+v", e.Agent)
		}
	}
}

// giveBMC gives a node a BMC that nobody reaches.
func giveBMC(t *testing.T, n *Node) {
	t.Helper()
	b, err := bmc.New(bmc.Config{Machine: n, User: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	n.bmc = b
}

func TestALabHasOneKindOfNode(t *testing.T) {
	dir := t.TempDir()
	l, err := Up(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Up(t.Context(), Config{Dir: dir, Nodes: 2, VM: &VM{}}); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "are simulated") {
		t.Errorf("virtual machines beside simulated nodes: %v", err)
	}
}

func TestVMsNeedQEMU(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := Up(t.Context(), Config{Dir: t.TempDir(), VM: &VM{}}); !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "qemu-system-x86_64 is not in PATH") || !strings.Contains(err.Error(), "apt-get install qemu-system-x86") {
		t.Errorf("without QEMU: %v", err)
	}
}

// Without a QEMU that runs, a machine says so and is off.
func TestVMThatDoesNotStart(t *testing.T) {
	bin := t.TempDir()
	script := "#!/bin/sh\necho 'qemu-system-x86_64: no luck today' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(bin, "qemu-system-x86_64"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := card{ID: "n001", Address: "127.0.0.9", Vendor: "openbmc", VM: VM{}.newVMCard(0, 7443)}
	s, err := c.shape()
	if err != nil {
		t.Fatal(err)
	}
	c.Parts = newParts(s)
	vars := filepath.Join(bin, "vars.fd")
	if err := os.WriteFile(vars, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := newNode(c, &Lab{config: Config{Dir: dir, Log: slog.New(slog.DiscardHandler)}, qemu: &hypervisor{programs: qemu.Programs{QEMU: filepath.Join(bin, "qemu-system-x86_64"), Vars: vars}, accel: qemu.TCG}})
	if err != nil {
		t.Fatal(err)
	}
	giveBMC(t, n)
	n.PowerOn()
	n.power.work.Wait()
	if got := n.Status(); got.Power != bmc.Off || got.Phase != "off: QEMU ended: no luck today" {
		t.Errorf("%+v", got)
	}
	n.power.close()
}

// What QEMU could not do is refused at once, not at the next start of the machine.
func TestVMWriteFaultsAreBounded(t *testing.T) {
	n := &Node{card: card{ID: "n001", VM: &vmCard{}}}
	n.machine = newVM(n, nil)
	for _, c := range []struct {
		nth, count int
		ok         bool
	}{{0, 0, true}, {qemu.MostFaults, 1, true}, {1, qemu.MostFaults, true}, {1, Forever, true}, {qemu.MostFaults + 1, 1, false}, {2, qemu.MostFaults, false}, {1 << 62, 1 << 62, false}} {
		err := n.AddFault(NewFault{Machine: &Fault{Kind: WriteError, Nth: c.nth, Count: c.count}})
		if (err == nil) != c.ok || err != nil && !core.Is(err, core.Invalid) {
			t.Errorf("from %d on %d: %v", c.nth, c.count, err)
		}
	}
}
