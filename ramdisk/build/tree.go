package main

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"
	"github.com/ulikunitz/xz"

	"github.com/metalpool/metalpool/ramdisk/debian"
	"github.com/metalpool/metalpool/ramdisk/kmod"
)

// Modules and firmware are compressed one by one, and stay so in memory until they
// are used: most never are. Modules are unpacked by our init; firmware by the kernel,
// and Debian's knows xz alone.

const firmwareRoot = "lib/firmware/"

// modulesOf returns the index of the modules that the ramdisk has, and their files.
func modulesOf(ctx context.Context, kernel debian.Package) (*kmod.Index, []cpio.Record, error) {
	var all []kmod.Module
	err := kernel.Walk(ctx, func(f debian.File) error {
		if f.Data == nil || !strings.HasSuffix(f.Name, ".ko") {
			return nil
		}
		data, err := io.ReadAll(f.Data)
		if err != nil {
			return err
		}
		m, err := kmod.Read(f.Name, data)
		all = append(all, m)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	index := kmod.NewIndex(all).Closure(isWanted)
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, nil, err
	}
	var files []cpio.Record
	err = kernel.Walk(ctx, func(f debian.File) error {
		if m, ok := index.Module(kmod.NameOf(f.Name)); f.Data == nil || !ok || m.Path != f.Name {
			return nil
		}
		data, err := io.ReadAll(f.Data)
		files = append(files, file(f.Name+kmod.Suffix, encoder.EncodeAll(data, nil), 0o644))
		return err
	})
	return index, files, err
}

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
			files = append(files, file(f.Name+".xz", packed, 0o644))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
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

func file(name string, data []byte, mode uint64) cpio.Record {
	return cpio.StaticRecord(data, cpio.Info{Name: name, Mode: cpio.S_IFREG | mode})
}

// archive makes a part of an initramfs: the records, and the folders that they are
// in. The kernel takes several such parts one after the other.
func archive(records []cpio.Record) ([]byte, error) {
	records = slices.Clone(records)
	folders := map[string]bool{}
	for _, r := range records {
		for dir := path.Dir(r.Name); dir != "." && !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	for dir := range folders {
		records = append(records, cpio.Directory(dir, 0o755))
	}
	// By name: a folder comes before what is in it.
	slices.SortFunc(records, func(a, b cpio.Record) int { return cmp.Compare(a.Name, b.Name) })
	var out bytes.Buffer
	w := cpio.Newc.Writer(&out)
	for n, r := range records {
		r = cpio.MakeReproducible(r)
		r.Ino = uint64(n + 1) // files of one number would be taken for one file
		if err := w.WriteRecord(r); err != nil {
			return nil, err
		}
	}
	if err := cpio.WriteTrailer(w); err != nil {
		return nil, err
	}
	return pad(out.Bytes()), nil
}

// pad to where the next part may begin.
func pad(part []byte) []byte { return append(part, make([]byte, -len(part)&511)...) }
