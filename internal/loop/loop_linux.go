// Package loop gives tests real block devices: files behind the kernel's loop driver.
package loop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/internal/needs"
)

// Attach makes a block device of size bytes, all zero, with sectors of that many
// bytes, and returns its kernel name. It is gone when the test ends. Where this
// machine cannot, the test ends as needs.Missing has it.
func Attach(t testing.TB, size int64, sector int) (name string) {
	t.Helper()
	backing, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = backing.Close() }()
	if err := backing.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return attach(t, unix.LoopConfig{Fd: uint32(backing.Fd()), Size: uint32(sector)})
}

// AttachPart makes a block device of a part of a file, as a disk's partition is one
// of a disk: there are kernels that look for no partitions on a loop device.
func AttachPart(t testing.TB, path string, at, size int64) (name string) {
	t.Helper()
	backing, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = backing.Close() }()
	return attach(t, unix.LoopConfig{Fd: uint32(backing.Fd()), Info: unix.LoopInfo64{Offset: uint64(at), Sizelimit: uint64(size)}})
}

func attach(t testing.TB, config unix.LoopConfig) (name string) {
	t.Helper()
	if os.Getuid() != 0 {
		needs.Missing(t, "root, for a loop device")
	}
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		needs.Missing(t, "the kernel's loop driver: "+err.Error())
	}
	defer func() { _ = control.Close() }()
	for {
		name, err := configure(control, &config)
		switch {
		case errors.Is(err, unix.EBUSY): // another test was faster
			continue
		case err != nil:
			needs.Missing(t, "a loop device: "+err.Error())
		}
		return detachLater(t, name)
	}
}

func configure(control *os.File, config *unix.LoopConfig) (name string, err error) {
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return "", err
	}
	name = fmt.Sprintf("loop%d", n)
	device, err := os.OpenFile("/dev/"+name, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = device.Close() }()
	return name, unix.IoctlLoopConfigure(int(device.Fd()), config)
}

func detachLater(t testing.TB, name string) string {
	t.Cleanup(func() {
		device, err := os.OpenFile("/dev/"+name, os.O_RDWR, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = device.Close() }()
		if err := unix.IoctlSetInt(int(device.Fd()), unix.LOOP_CLR_FD, 0); err != nil {
			t.Errorf("%s stays attached: %v", name, err)
		}
	})
	return name
}
