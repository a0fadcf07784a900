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
)

// kernel is what a boot loader entry starts.
type kernel struct {
	image, initrd string // files of this host
	commandLine   string
}

// readKernel copies the kernel of the only boot loader entry on the disk's EFI system
// partition into dir.
func readKernel(disk, dir string) (kernel, error) {
	f, err := os.Open(disk)
	if err != nil {
		return kernel{}, err
	}
	defer func() { _ = f.Close() }()
	esp, err := readESP(f)
	if err != nil {
		return kernel{}, err
	}
	const entries = "loader/entries"
	found, err := esp.ReadDir(entries)
	if err != nil {
		return kernel{}, err
	}
	var names []string
	for _, e := range found {
		if strings.HasSuffix(e.Name(), ".conf") {
			names = append(names, e.Name())
		}
	}
	if len(names) != 1 {
		return kernel{}, fmt.Errorf("%d boot loader entries in %s, not one", len(names), entries)
	}
	text, err := esp.ReadFile(path.Join(entries, names[0]))
	if err != nil {
		return kernel{}, err
	}
	k := kernel{image: filepath.Join(dir, "linux"), initrd: filepath.Join(dir, "initrd")}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		value = strings.TrimSpace(value)
		to := ""
		switch key {
		case "options":
			k.commandLine = value
		case "linux":
			to = k.image
		case "initrd":
			to = k.initrd
		}
		if to == "" {
			continue
		}
		data, err := esp.ReadFile(strings.TrimPrefix(value, "/"))
		if err != nil {
			return kernel{}, fmt.Errorf("%s of %s: %w", key, names[0], err)
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			return kernel{}, err
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
