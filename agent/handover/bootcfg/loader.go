package bootcfg

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
)

// architecture is how file names of EFI programs end.
var architecture = map[string]string{"amd64": "x64", "arm64": "aa64"}[runtime.GOARCH]

// Loader returns the path of what firmware is to start from an EFI system partition.
// A distribution's own boot loader comes before the one at the place for removable
// media: shim, started from there, would add boot entries of its own and reset.
func Loader(esp fs.FS) (string, error) {
	vendors, err := list(esp, "EFI")
	if err != nil {
		return "", err
	}
	var dirs []string
	for _, v := range vendors {
		if v.IsDir() && !slices.Contains([]string{"boot", "linux", "systemd", "tools", "memtest86"}, strings.ToLower(v.Name())) {
			dirs = append(dirs, "EFI/"+v.Name())
		}
	}
	for _, file := range []string{"shim", "grub"} {
		for _, dir := range dirs {
			if found, ok := lookup(esp, path.Join(dir, file+architecture+".efi")); ok {
				return found, nil
			}
		}
	}
	for _, file := range []string{"EFI/systemd/systemd-boot" + architecture + ".efi", "EFI/BOOT/BOOT" + architecture + ".EFI"} {
		if found, ok := lookup(esp, file); ok {
			return found, nil
		}
	}
	return "", errors.New("the EFI system partition has no boot loader for this machine")
}

// startsSystemdBoot says whether firmware would start systemd-boot from this disk.
func startsSystemdBoot(volumes []Volume) bool {
	for _, v := range volumes {
		if !v.ESP {
			continue
		}
		name, err := Loader(v.Files)
		if err != nil {
			continue
		}
		if isSystemdBoot(v.Files, name) {
			return true
		}
	}
	return false
}

// maxLoader is larger than systemd-boot ever was, in bytes.
const maxLoader = 4 << 20

func isSystemdBoot(volume fs.FS, name string) bool {
	f, err := open(volume, name)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // nothing was written
	b, err := io.ReadAll(io.LimitReader(f, maxLoader))
	return err == nil && strings.Contains(string(b), "#### LoaderInfo: systemd-boot ")
}
