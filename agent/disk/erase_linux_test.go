package disk

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/metalpool/metalpool/core"
)

// TestTheKernelsStructures holds them to linux/nvme_ioctl.h and scsi/sg.h for 64 bits.
func TestTheKernelsStructures(t *testing.T) {
	if size := unsafe.Sizeof(passthruCommand{}); size != 72 || ioctlAdmin != 0xc0484e41 {
		t.Errorf("an NVMe command of %d bytes by ioctl %#x", size, ioctlAdmin)
	}
	var h sgHeader
	if unsafe.Sizeof(h) != 88 || unsafe.Offsetof(h.data) != 16 || unsafe.Offsetof(h.timeout) != 40 || unsafe.Offsetof(h.status) != 64 || unsafe.Offsetof(h.hostStatus) != 68 {
		t.Errorf("an SG_IO header of %d bytes", unsafe.Sizeof(h))
	}
}

// TestADiskThatTakesNoCommands has the kernel refuse each kind of command: a loop
// device knows none.
func TestADiskThatTakesNoCommands(t *testing.T) {
	for kind, want := range map[transport]string{
		other: "", nvme: "NVMe command 0x06", ata: "SCSI command 0x85", scsi: "SCSI command 0x48",
	} {
		for _, zeroes := range []bool{false, true} {
			const size = 12 << 20 // more than a step, and no multiple of it
			d := device(t, size, 512)
			d.facts.transport, d.facts.zeroes = kind, zeroes
			if _, err := d.WriteAt(bytes.Repeat([]byte{0xa5}, size), 0); err != nil {
				t.Fatal(err)
			}
			var last core.Bytes
			told := func(done, total core.Bytes) {
				if done < last || total != size {
					t.Errorf("%d of %d bytes after %d", done, total, last)
				}
				last = done
			}
			if err := d.Resume(t.Context(), told); err != nil && kind != scsi {
				t.Errorf("%s: resumed: %v", kind, err)
			}
			method, class, err := d.Erase(t.Context(), told)
			if err != nil || class != core.Clear || !strings.Contains(method, want) || strings.HasPrefix(method, "write zeroes") != zeroes || last != size {
				t.Errorf("%s: %q by %q, %v, after %d bytes", kind, class, method, err, last)
			}
			got := make([]byte, size)
			if _, err := d.ReadMedium(got, 0); err != nil || !bytes.Equal(got, make([]byte, size)) {
				t.Errorf("%s: data is left: %v", kind, err)
			}
		}
	}
}

func TestMediaIsNotResumed(t *testing.T) {
	d := device(t, 1<<20, 512)
	d.facts.info.Removable = true
	if err := d.Resume(t.Context(), func(core.Bytes, core.Bytes) {}); !errors.Is(err, errMedia) {
		t.Errorf("got %v", err)
	}
}
