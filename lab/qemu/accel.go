package qemu

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// Accel is what runs a system's processors.
type Accel string

const (
	KVM Accel = "kvm"
	TCG Accel = "tcg" // QEMU's emulation: works everywhere, ten times slower
)

func (a Accel) arguments() []string {
	if a == KVM {
		return []string{"-accel", "kvm", "-cpu", "host"}
	}
	return []string{"-accel", "tcg,thread=multi", "-cpu", "max"}
}

// probeTime is how long the firmware has for its first word. Where KVM works it takes a
// second or two.
const probeTime = 20 * time.Second

// BestAccel is KVM where the firmware really runs with it, else TCG. That /dev/kvm can be
// opened does not tell: nested in some clouds it is there and does not work.
func BestAccel(ctx context.Context, p Programs) Accel {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return TCG
	}
	if err := f.Close(); err != nil {
		return TCG
	}
	if speaks(ctx, p, KVM) {
		return KVM
	}
	return TCG
}

// speaks reports whether the firmware gets as far as to write to its serial port. A machine
// that QEMU calls running may have run nothing: where KVM is nested badly QEMU ends within
// milliseconds, or the processor stops at one of the first instructions, or at one that only
// the firmware has.
func speaks(ctx context.Context, p Programs, a Accel) bool {
	heard, stopped := make(chan struct{}), make(chan struct{})
	files := launchFiles{
		console: &firstWord{heard: heard},
		events: func(e event) {
			if e.Name == "STOP" {
				select {
				case <-stopped:
				default:
					close(stopped)
				}
			}
		},
	}
	args := append([]string{
		"-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35,pflash0=code", "-m", "128",
		"-chardev", fmt.Sprintf("socket,id=monitor,fd=%d", fdMonitor), "-mon", "chardev=monitor,mode=control",
		"-chardev", fmt.Sprintf("socket,id=serial,fd=%d", fdSerial), "-serial", "chardev:serial",
		"-blockdev", node(map[string]any{"node-name": "code", "driver": "raw", "read-only": true, "file": map[string]any{"driver": "file", "filename": p.Code}}),
	}, a.arguments()...)
	q, err := launch(ctx, p.QEMU, args, files)
	if err != nil {
		return false
	}
	defer q.end()
	t := time.NewTimer(probeTime)
	defer t.Stop()
	select {
	case <-heard:
		return true
	case <-ctx.Done():
	case <-q.over:
	case <-stopped: // an internal error of KVM
	case <-t.C:
	}
	return false
}

// firstWord tells that something was written.
type firstWord struct {
	heard chan struct{}
	once  sync.Once
}

// Write implements io.Writer.
func (w *firstWord) Write(p []byte) (int, error) {
	w.once.Do(func() { close(w.heard) })
	return len(p), nil
}
