//go:build vm

package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/internal/needs"
)

// start starts a machine with stopped processors and a disk on each bus.
func start(t *testing.T, change func(*Spec)) *Machine {
	t.Helper()
	needs.QEMU(t)
	programs, err := Find()
	if err != nil {
		needs.Missing(t, err.Error())
	}
	dir := t.TempDir()
	s := plain
	s.Code, s.Vars = programs.Code, filepath.Join(dir, "vars, and more.fd")
	vars, err := os.ReadFile(programs.Vars)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Vars, vars, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, d := range []Disk{{Bus: NVMe}, {Bus: SATA, Model: "M", WWN: 0x5000000000000001}, {Bus: SCSI, Model: "M", Sector: 4096}, {Bus: VirtIO}} {
		d.Path, d.Serial = filepath.Join(dir, string(d.Bus)), strings.ToUpper(string(d.Bus))
		if err := os.WriteFile(d.Path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(d.Path, 64<<20); err != nil {
			t.Fatal(err)
		}
		s.Disks = append(s.Disks, d)
	}
	s.Ports = []Port{{Model: "virtio-net-pci", MAC: "02:00:00:00:00:01", Network: Silent}, {Model: "e1000e", MAC: "02:00:00:00:00:02", Network: NoCable}}
	if change != nil {
		change(&s)
	}
	m, err := Start(context.WithoutCancel(t.Context()), s, Host{Programs: programs, Console: new(bytes.Buffer)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Kill)
	return m
}

type memoryImage struct{ *bytes.Reader }

func TestVMDriveTakesDiscs(t *testing.T) {
	for _, bus := range []Bus{SCSI, USB} {
		m := start(t, func(s *Spec) { s.CD = bus })
		// inside is the name of the node in the drive, and its size.
		inside := func() (string, int) {
			t.Helper()
			var drives []struct {
				QDev     string `json:"qdev"`
				TrayOpen bool   `json:"tray_open"`
				Inserted *struct {
					Node  string `json:"node-name"`
					Image struct {
						Size int `json:"virtual-size"`
					} `json:"image"`
				} `json:"inserted"`
			}
			if err := m.process.monitor.run("query-block", nil, &drives); err != nil {
				t.Fatal(err)
			}
			for _, d := range drives {
				if d.QDev != "cd" {
					continue
				}
				if d.TrayOpen {
					t.Errorf("%s: the tray is open", bus)
				}
				if d.Inserted == nil {
					return "", 0
				}
				return d.Inserted.Node, d.Inserted.Image.Size
			}
			t.Fatal("there is no drive")
			return "", 0
		}
		first, second := memoryImage{bytes.NewReader(make([]byte, 4096))}, memoryImage{bytes.NewReader(make([]byte, 8192))}
		var names []string
		for _, step := range []struct {
			disc Image
			size int
		}{{nil, 0}, {first, 4096}, {first, 4096}, {second, 8192}, {nil, 0}, {first, 4096}} {
			if err := m.Load(step.disc); err != nil {
				t.Fatalf("%s: %v", bus, err)
			}
			name, size := inside()
			if size != step.size {
				t.Errorf("%s: %d bytes are in the drive; want %d", bus, size, step.size)
			}
			names = append(names, name)
		}
		if names[1] != names[2] {
			t.Errorf("%s: the same disc was taken out and put in again", bus)
		}
	}
}

func TestVMWritesFail(t *testing.T) {
	var paths []string
	m := start(t, func(s *Spec) {
		for _, d := range s.Disks {
			paths = append(paths, d.Path)
		}
	})
	var devices []struct {
		QDev     string `json:"qdev"`
		Inserted struct {
			Node string `json:"node-name"`
		} `json:"inserted"`
	}
	if err := m.process.monitor.run("query-block", nil, &devices); err != nil {
		t.Fatal(err)
	}
	of := map[string]string{} // by the disk's node
	for _, d := range devices {
		of[d.Inserted.Node] = d.QDev
	}
	// writes writes to each disk, in its device's name, for nobody else may, and tells
	// what got there.
	pattern := byte(0)
	writes := func(n int) string {
		t.Helper()
		verdicts := ""
		for i, path := range paths {
			for range n {
				pattern++
				line := fmt.Sprintf(`qemu-io -d %s "write -P %d 0 4096"`, of[diskNode(i)], pattern)
				var said string
				if err := m.process.monitor.run("human-monitor-command", map[string]string{"command-line": line}, &said); err != nil || said != "" {
					t.Fatalf("%s: %v %s", line, err, said)
				}
				got := make([]byte, 1)
				f, err := os.Open(path)
				if err == nil {
					_, err = f.ReadAt(got, 4095)
				}
				if err = errors.Join(err, f.Close()); err != nil {
					t.Fatal(err)
				}
				verdicts += map[bool]string{true: ".", false: "x"}[got[0] == pattern]
			}
			verdicts += " "
		}
		return strings.TrimSpace(verdicts)
	}
	for _, c := range []struct {
		nth, count int
		want       string
	}{
		{0, 0, ".... .... .... ...."},
		{2, 1, ".x.. .x.. .x.. .x.."},
		{1, -1, "xxxx xxxx xxxx xxxx"},
		{3, 2, "..xx ..xx ..xx ..xx"},
		{0, 0, ".... .... .... ...."},
	} {
		if err := m.FailWrites(c.nth, c.count); err != nil {
			t.Fatal(err)
		}
		if got := writes(4); got != c.want {
			t.Errorf("from %d on, %d: %s; want %s", c.nth, c.count, got, c.want)
		}
	}
	if err := m.FailWrites(MostFaults, 2); err == nil {
		t.Error("more faults are taken than are counted")
	}
}

func TestVMSaysWhyItDoesNotStart(t *testing.T) {
	programs, err := Find()
	if err != nil {
		needs.Missing(t, err.Error())
	}
	s := plain
	s.Code, s.Vars = programs.Code, filepath.Join(t.TempDir(), "none.fd")
	if _, err := Start(t.Context(), s, Host{Programs: programs}); err == nil || !strings.Contains(err.Error(), "none.fd") {
		t.Errorf("without its variables: %v", err)
	}
	if _, err := Start(t.Context(), s, Host{Programs: Programs{QEMU: filepath.Join(t.TempDir(), "qemu")}}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without QEMU: %v", err)
	}
}

// A disk has one machine, whatever the caller does.
func TestVMDisksAreLocked(t *testing.T) {
	var taken Spec
	start(t, func(s *Spec) { taken = *s })
	programs, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	if m, err := Start(t.Context(), taken, Host{Programs: programs}); err == nil {
		m.Kill()
		t.Error("two machines have one disk")
	} else if !strings.Contains(err.Error(), "lock") {
		t.Errorf("a second machine: %v", err)
	}
}

func TestVMEnds(t *testing.T) {
	m := start(t, nil)
	if err := m.SetLink(0, false); err != nil {
		t.Error(err)
	}
	if err := m.PressPower(); err != nil {
		t.Error(err)
	}
	m.Kill()
	m.Kill()
	if end, err := m.Wait(); end != Died || err == nil {
		t.Errorf("killed: %s, %v", end, err)
	}
	if err := m.Run(); err == nil {
		t.Error("a dead machine runs")
	}
}
