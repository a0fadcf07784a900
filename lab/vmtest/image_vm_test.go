//go:build vm

package vmtest_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/tinyos"
)

// What can be wrong with an image, with its way to the server, and with the disk that
// it goes to.
func TestVMImage(t *testing.T) {
	r := newRack(t, small)

	// The OS hangs where kexec starts it: the server goes through its firmware, and
	// the node is to do so from then on.
	r.run("an OS that hangs after kexec", func(r *rack) {
		began := time.Now()
		o := r.order()
		o.Image = hangImage
		r.create(o, nil)
		r.startedBy(core.Reboot)
		r.told(began, core.StepFailed, "no sign of life", "after kexec")
		if n := r.found(); n.Spec.Boot != core.Reboot || n.Spec.BootWhy == "" {
			r.t.Errorf("the node is to be started by %q, because %q", n.Spec.Boot, n.Spec.BootWhy)
		}
	})

	// The ramdisk's kernel refuses it, and the firmware does not.
	r.run("an OS whose kernel does not kexec", func(r *rack) {
		began := time.Now()
		path := filepath.Join(r.dir, "kernel.raw")
		try(r.t, tinyos.Write(needs.TinyOS(r.t), path), withoutKexec(path))
		r.add("kernel-without-kexec", path)
		o := r.order()
		o.Image = "kernel-without-kexec"
		r.create(o, nil)
		r.startedBy(core.Reboot)
		r.told(began, core.Note, "kexec is not possible", "going through the firmware instead")
		if n := r.boots(); n != 1 {
			r.t.Errorf("the ramdisk was started %d times, not once", n)
		}
		if n := r.found(); n.Spec.Boot != "" {
			r.t.Errorf("the node is to be started by %q for its image's sake", n.Spec.Boot)
		}
	})

	r.run("an image without cloud-init", func(r *rack) {
		r.waits(func(l *core.Timeouts) { l.SSH, l.Kexec = 100*time.Second, time.Minute })
		o := r.order()
		o.Image = noSeedImage
		o.Request.Node = r.node.ID()
		_, err := r.Create(r.t.Context(), o, nil)
		r.refused(err, core.Timeout, stepSSH, "shows another host key", "no cloud-init", "tiny OS answers SSH")
		r.is(core.Failed)
	})

	r.run("a DHCP server that gives the OS another address", func(r *rack) {
		r.waits(func(l *core.Timeouts) { l.SSH, l.Kexec = 100*time.Second, time.Minute })
		r.startBy(core.Reboot)
		try(r.t, r.node.AddFault(lab.NewFault{Machine: &lab.Fault{Kind: lab.DHCPMoves}}))
		o := r.order()
		o.Request.Node = r.node.ID()
		_, err := r.Create(r.t.Context(), o, nil)
		r.refused(err, core.Timeout, stepSSH, "console", "10.0.2.30")
		r.is(core.Failed)
	})

	r.run("chunks that are corrupt whenever they arrive, and then one that is once", func(r *rack) {
		r.chunk.spoils(func(_ int, chunk []byte) []byte { return flipped(chunk) })
		defer r.chunk.spoils(nil)
		o := r.order()
		o.Request.Node = r.node.ID()
		_, err := r.Create(r.t.Context(), o, nil)
		r.refused(err, core.Transient, "write", "it is not what the manifest says", "check the image file")
		r.is(core.Failed)

		var spoilt atomic.Int32
		r.chunk.spoils(func(n int, chunk []byte) []byte {
			if n == 3 {
				spoilt.Add(1)
				return flipped(chunk)
			}
			return chunk
		})
		r.create(o, nil) // the same request tries again
		if n := spoilt.Load(); n != 1 {
			r.t.Errorf("%d chunks arrived corrupt", n)
		}
	})

	r.run("an image that is larger than the disk", func(r *rack) {
		path := filepath.Join(r.dir, "large.raw")
		try(r.t, tinyos.Write(needs.TinyOS(r.t), path), os.Truncate(path, 600<<20))
		r.add("large", path)
		o := r.order()
		o.Image = "large"
		_, err := r.Create(r.t.Context(), o, nil)
		r.refused(err, core.Invalid, "choose root disk", "the image needs", "512 MiB", "ask for a larger disk")
		r.is(core.Failed)
	})

	r.run("a disk that fails on write, and then in the erase", func(r *rack) {
		began := time.Now()
		try(r.t, r.node.AddFault(lab.NewFault{Machine: &lab.Fault{Kind: lab.WriteError, Nth: 5, Count: lab.Forever}}))
		o := r.order()
		_, err := r.Create(r.t.Context(), o, nil)
		r.refused(err, core.Backend, "write", "the disk may be broken", "no other node could be taken")
		r.told(began, core.StepFailed, "the disk may be broken")
		r.is(core.Failed)
		r.node.ClearFaults()
		try(r.t, r.node.AddFault(lab.NewFault{Machine: &lab.Fault{Kind: lab.WriteError, Nth: 1, Count: lab.Forever}})) // what is to be gone later cannot be written
		try(r.t, r.Release(r.t.Context(), o.ID, core.ReleaseOptions{WaitClean: true}, nil))                            // its owner is rid of it
		r.told(began, core.StepFailed, "erase", r.node.Disks()[0].Serial)
		r.is(core.Quarantined)
	})
}

// withoutKexec takes the mark of a boot sector off the Linux kernel in an image: kexec
// looks for it, and UEFI does not.
func withoutKexec(image string) error {
	data, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	var kernels []int
	for at := range data[:len(data)-8] {
		if sector := data[at : at+8]; sector[0] == 0x55 && sector[1] == 0xaa && string(sector[4:]) == "HdrS" {
			kernels = append(kernels, at)
		}
	}
	if len(kernels) != 1 {
		return fmt.Errorf("the image has Linux kernels at %d, not one", kernels)
	}
	copy(data[kernels[0]:], "no")
	return os.WriteFile(image, data, 0o600)
}

func flipped(chunk []byte) []byte {
	c := bytes.Clone(chunk)
	c[len(c)/2] ^= 1
	return c
}
