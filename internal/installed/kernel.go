package installed

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/fat32"
	diskgpt "github.com/diskfs/go-diskfs/partition/gpt"

	"github.com/metalpool/metalpool/lab/qemu"
)

// ReadKernel copies what the only boot loader entry on the EFI system partition of a
// disk or image starts into dir.
func ReadKernel(disk, dir string) (qemu.Kernel, error) {
	f, err := os.Open(disk)
	if err != nil {
		return qemu.Kernel{}, err
	}
	defer func() { _ = f.Close() }()
	esp, err := readESP(f)
	if err != nil {
		return qemu.Kernel{}, err
	}
	const entries = "loader/entries"
	found, err := esp.ReadDir(entries)
	if err != nil {
		return qemu.Kernel{}, err
	}
	var names []string
	for _, e := range found {
		if strings.HasSuffix(e.Name(), ".conf") {
			names = append(names, e.Name())
		}
	}
	if len(names) != 1 {
		return qemu.Kernel{}, fmt.Errorf("%d boot loader entries in %s, not one", len(names), entries)
	}
	text, err := esp.ReadFile(path.Join(entries, names[0]))
	if err != nil {
		return qemu.Kernel{}, err
	}
	k := qemu.Kernel{Image: filepath.Join(dir, "linux"), Initrd: filepath.Join(dir, "initrd")}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		value = strings.TrimSpace(value)
		to := ""
		switch key {
		case "options":
			k.CommandLine = value
		case "linux":
			to = k.Image
		case "initrd":
			to = k.Initrd
		}
		if to == "" {
			continue
		}
		data, err := esp.ReadFile(strings.TrimPrefix(value, "/"))
		if err != nil {
			return qemu.Kernel{}, fmt.Errorf("%s of %s: %w", key, names[0], err)
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			return qemu.Kernel{}, err
		}
	}
	return k, nil
}

func readESP(f *os.File) (*fat32.FileSystem, error) {
	table, err := diskgpt.Read(f, 512, 512)
	if err != nil {
		return nil, err
	}
	for _, p := range table.Partitions {
		if p.Type == diskgpt.EFISystemPartition {
			return fat32.Read(file.New(f, true), p.GetSize(), p.GetStart(), 512)
		}
	}
	return nil, errors.New("the image has no EFI system partition")
}
