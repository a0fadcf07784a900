package qemu

import (
	"context"
	"fmt"
	"os"
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

// probeTime is how long a machine has to run under KVM to be believed. Where KVM is
// nested badly QEMU ends within milliseconds, or stops at one of the first instructions.
const probeTime = time.Second

// BestAccel is KVM where a machine really runs with it, else TCG. That /dev/kvm can
// be opened does not tell: nested in some clouds it is there and does not work.
func BestAccel(ctx context.Context, p Programs) Accel {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return TCG
	}
	if err := f.Close(); err != nil {
		return TCG
	}
	if runsUnder(ctx, p, KVM) {
		return KVM
	}
	return TCG
}

func runsUnder(ctx context.Context, p Programs, a Accel) bool {
	args := append([]string{
		"-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", "-m", "64",
		"-chardev", fmt.Sprintf("socket,id=monitor,fd=%d", fdMonitor), "-mon", "chardev=monitor,mode=control",
	}, a.arguments()...)
	q, err := launch(ctx, p.QEMU, args, launchFiles{})
	if err != nil {
		return false
	}
	defer q.end()
	t := time.NewTimer(probeTime)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-q.over:
		return false
	case <-t.C:
	}
	var status struct {
		Status string `json:"status"`
	}
	return q.monitor.run("query-status", nil, &status) == nil && status.Status == "running"
}
