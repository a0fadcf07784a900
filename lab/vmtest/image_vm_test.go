//go:build vm

package vmtest_test

import (
	"bytes"
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
	// the node does so from then on.
	r.run("an OS that hangs after kexec", func(r *rack) {
		began := time.Now()
		o := r.order()
		o.Image = hangImage
		m := r.create(o, nil)
		r.startedBy(core.Reboot)
		r.told(began, core.StepFailed, "no sign of life", "after kexec")
		if n := r.found(); n.Spec.Boot != core.Reboot || n.Spec.BootWhy == "" {
			r.t.Errorf("the node is to be started by %q, because %q", n.Spec.Boot, n.Spec.BootWhy)
		}
		r.release(m, nil)
		r.create(r.order(), nil)
		r.startedBy(core.Reboot)
		none := core.BootMode("")
		_, err := r.SetNode(r.t.Context(), r.node.ID(), core.NodeChange{Boot: &none})
		try(r.t, err)
	})

	r.run("an image without cloud-init", func(r *rack) {
		r.waits(func(l *core.Timeouts) { l.SSH = 75 * time.Second })
		o := r.order()
		o.Image = noSeedImage
		o.Request.Node = r.node.ID()
		_, err := r.Create(r.t.Context(), o, nil)
		r.refused(err, core.Timeout, stepSSH, "shows another host key", "no cloud-init", "tiny OS answers SSH")
		r.is(core.Failed)
	})

	r.run("an OS that asks DHCP as another machine", func(r *rack) {
		r.waits(func(l *core.Timeouts) { l.SSH, l.Kexec = 75*time.Second, 30*time.Second })
		o := r.order()
		o.Image = otherImage
		o.Request.Node = r.node.ID()
		_, err := r.Create(r.t.Context(), o, nil)
		r.refused(err, core.Timeout, stepSSH, "console", "10.0.2.")
		r.is(core.Failed)
	})

	r.run("a DHCP server that gives the OS another address", func(r *rack) {
		r.waits(func(l *core.Timeouts) { l.SSH = 75 * time.Second })
		r.startBy(core.Reboot)
		try(r.t, r.node.AddFault(lab.NewFault{Machine: &lab.Fault{Kind: lab.DHCPMoves}}))
		o := r.order()
		o.Request.Node = r.node.ID()
		_, err := r.Create(r.t.Context(), o, nil)
		r.refused(err, core.Timeout, stepSSH, "console", "10.0.2.30")
		r.is(core.Failed)
		r.startBy("")
	})

	r.run("a chunk that arrives corrupt once", func(r *rack) {
		var spoilt atomic.Int32
		r.chunk.spoils(func(n int, chunk []byte) []byte {
			if n == 3 {
				spoilt.Add(1)
				return flipped(chunk)
			}
			return chunk
		})
		defer r.chunk.spoils(nil)
		r.create(r.order(), nil)
		if n := spoilt.Load(); n != 1 {
			r.t.Errorf("%d chunks arrived corrupt", n)
		}
	})

	r.run("chunks that are corrupt whenever they arrive", func(r *rack) {
		r.chunk.spoils(func(_ int, chunk []byte) []byte { return flipped(chunk) })
		defer r.chunk.spoils(nil)
		o := r.order()
		o.Request.Node = r.node.ID()
		_, err := r.Create(r.t.Context(), o, nil)
		r.refused(err, core.Transient, "write", "it is not what the manifest says", "check the image file")
		r.is(core.Failed)
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

	r.run("a disk that fails on write", func(r *rack) {
		began := time.Now()
		try(r.t, r.node.AddFault(lab.NewFault{Machine: &lab.Fault{Kind: lab.WriteError, Nth: 5, Count: lab.Forever}}))
		o := r.order()
		_, err := r.Create(r.t.Context(), o, nil)
		r.refused(err, core.Backend, "write", "the disk may be broken", "no other node could be taken")
		r.told(began, core.StepFailed, "the disk may be broken")
		r.is(core.Failed)
	})
}

func flipped(chunk []byte) []byte {
	c := bytes.Clone(chunk)
	c[len(c)/2] ^= 1
	return c
}
