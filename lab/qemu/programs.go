package qemu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
)

// Programs is what of QEMU is installed.
type Programs struct {
	QEMU string // qemu-system-x86_64
	Code string // UEFI firmware
	Vars string // its variables, as from the factory
}

// firmware is where distributions install OVMF, code and variables.
var firmware = [][2]string{
	{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},                 // Debian, Ubuntu
	{"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"},             // Fedora
	{"/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"},         // Arch
	{"/usr/share/qemu/ovmf-x86_64-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-4m-vars.bin"}, // openSUSE
	{"/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"},           // QEMU's own
}

// ErrMissing says what is to be installed; errors of Find are it.
var ErrMissing = errors.New("virtual machines need QEMU and UEFI firmware for it")

// Find looks for the programs, or says what to install.
func Find() (Programs, error) {
	var p Programs
	var missing []string
	path, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		missing = append(missing, "the program qemu-system-x86_64 is not in PATH")
	}
	p.QEMU = path
	for _, f := range firmware {
		if exists(f[0]) && exists(f[1]) {
			p.Code, p.Vars = f[0], f[1]
			break
		}
	}
	if p.Code == "" {
		missing = append(missing, fmt.Sprintf("there is no %s", firmware[0][0]))
	}
	if missing != nil {
		return Programs{}, fmt.Errorf("%w: %s", ErrMissing, strings.Join(missing, ", and "))
	}
	return p, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
