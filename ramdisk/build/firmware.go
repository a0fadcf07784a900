package main

import (
	"bytes"
	"context"
	"io"
	"path"

	"github.com/u-root/u-root/pkg/cpio"
	"github.com/ulikunitz/xz"

	"github.com/metalpool/metalpool/ramdisk/debian"
	"github.com/metalpool/metalpool/ramdisk/initramfs"
	"github.com/metalpool/metalpool/ramdisk/kmod"
)

// Firmware is compressed file by file, and stays so in memory until it is used: most
// never is. The kernel unpacks it, and Debian's knows xz alone.

const firmwareRoot = "lib/firmware/"

// firmwareOf returns the files that the modules may ask for, and which the packages
// have.
func firmwareOf(ctx context.Context, index *kmod.Index, from []debian.Package) ([]cpio.Record, error) {
	links := map[string]string{}
	for _, p := range from {
		err := p.Walk(ctx, func(f debian.File) error {
			if f.Link != "" {
				links[f.Name] = path.Join(path.Dir(f.Name), f.Link)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var files []cpio.Record
	want := map[string]bool{}
	for _, m := range index.Modules() {
		for _, name := range m.Firmware {
			name = firmwareRoot + name
			for target, ok := links[name]; ok; target, ok = links[name] {
				files = append(files, cpio.Symlink(name+".xz", "/"+target+".xz"))
				delete(links, name)
				name = target
			}
			want[name] = true
		}
	}
	for _, p := range from {
		err := p.Walk(ctx, func(f debian.File) error {
			if f.Data == nil || !want[f.Name] {
				return nil
			}
			data, err := io.ReadAll(f.Data)
			if err != nil {
				return err
			}
			packed, err := packXZ(data)
			files = append(files, initramfs.File(f.Name+".xz", packed, 0o644))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// lacking are the files that modules may ask for, and which nobody has, each with the
// module.
func lacking(index *kmod.Index, files []cpio.Record) []string {
	have := map[string]bool{}
	for _, f := range files {
		have[f.Name] = true
	}
	var names []string
	for _, m := range index.Modules() {
		for _, name := range m.Firmware {
			if !have[firmwareRoot+name+".xz"] {
				names = append(names, name+" ("+m.Name+")")
			}
		}
	}
	return names
}

// packXZ uses the checksum that the kernel knows.
func packXZ(data []byte) ([]byte, error) {
	var packed bytes.Buffer
	w, err := xz.WriterConfig{CheckSum: xz.CRC32, DictCap: 1 << 20}.NewWriter(&packed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	return packed.Bytes(), w.Close()
}
