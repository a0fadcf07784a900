package image_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/image"
	"github.com/metalpool/metalpool/internal/needs"
)

// What the real qemu-img writes is read, and what it calls unusual is refused.
func TestQemuImages(t *testing.T) {
	qemuImg := needs.Program(t, "qemu-img", "qemu-utils")
	disk := testDisk(t)
	source := write(t, disk)
	tests := []struct {
		name string
		args []string
		want string // of the error; empty where it is taken
	}{
		{"plain", []string{"-O", "qcow2"}, ""},
		{"compressed", []string{"-O", "qcow2", "-c"}, ""},
		{"zstd", []string{"-O", "qcow2", "-c", "-o", "compression_type=zstd"}, ""},
		{"old", []string{"-O", "qcow2", "-o", "compat=0.10"}, ""},
		{"old compressed", []string{"-O", "qcow2", "-c", "-o", "compat=0.10"}, ""},
		{"large clusters", []string{"-O", "qcow2", "-c", "-o", "cluster_size=2M"}, ""},
		{"small clusters", []string{"-O", "qcow2", "-o", "cluster_size=512"}, ""},
		{"lazy", []string{"-O", "qcow2", "-o", "lazy_refcounts=on"}, ""},
		{"preallocated", []string{"-O", "qcow2", "-o", "preallocation=metadata"}, ""},
		{"extended", []string{"-O", "qcow2", "-o", "extended_l2=on,cluster_size=128k"}, "extended L2"},
		{"vmdk", []string{"-O", "vmdk"}, "VMDK"},
		{"vdi", []string{"-O", "vdi"}, "VDI"},
		{"vhdx", []string{"-O", "vhdx"}, "VHDX"},
		{"vpc", []string{"-O", "vpc"}, "VHD"},
		{"qed", []string{"-O", "qed"}, "QED"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "image")
			args := append([]string{"convert", "-f", "raw"}, tt.args...)
			run(t, qemuImg, append(args, source, file)...)
			l := image.NewLibrary(t.TempDir())
			i, err := l.Examine(t.Context(), core.Image{Source: file}, nil)
			if tt.want != "" {
				if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), tt.want) {
					t.Fatalf("error %v, want an invalid one with %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(lay(t, open(t, l, i)), disk) {
				t.Error("another disk came out")
			}
		})
	}

	t.Run("backing file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "image")
		run(t, qemuImg, "create", "-f", "qcow2", "-F", "raw", "-b", source, file)
		_, err := image.NewLibrary(t.TempDir()).Examine(t.Context(), core.Image{Source: file}, nil)
		if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), "backing file") {
			t.Errorf("error %v", err)
		}
	})
	// An image that a machine ran from: clusters written over and in any order.
	t.Run("written to", func(t *testing.T) {
		qemuIO := needs.Program(t, "qemu-io", "qemu-utils")
		file := filepath.Join(t.TempDir(), "image")
		run(t, qemuImg, "convert", "-f", "raw", "-O", "qcow2", "-c", source, file)
		run(t, qemuIO, "-c", "write -P 7 9000k 100k", "-c", "write -z 2M 1M", "-c", "write -P 8 6000k 3k", file)
		want := bytes.Clone(disk)
		for at := range 100 << 10 {
			want[9000<<10+at] = 7
		}
		clear(want[2<<20 : 3<<20])
		for at := range 3 << 10 {
			want[6000<<10+at] = 8
		}
		l := image.NewLibrary(t.TempDir())
		if !bytes.Equal(lay(t, open(t, l, examine(t, l, core.Image{Source: file}))), want) {
			t.Error("another disk came out")
		}
	})
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
}
