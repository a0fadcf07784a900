package needs

import "testing"

// Emulator is QEMU, and the UEFI firmware that its machines start with.
type Emulator struct{ Program, Code, Vars string }

// QEMU installs what a virtual machine is started with where that is possible, as Program
// does. One package does not bring the other.
func QEMU(t testing.TB) Emulator {
	t.Helper()
	return Emulator{
		Program: Program(t, "qemu-system-x86_64", "qemu-system-x86"),
		Code:    file(t, "/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf"),
		Vars:    file(t, "/usr/share/OVMF/OVMF_VARS_4M.fd", "ovmf"),
	}
}
