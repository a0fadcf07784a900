// Package initramfs packs what a kernel unpacks into memory at its start: a program
// that is its first, and the modules that the program loads.
package initramfs

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

	"github.com/metalpool/metalpool/ramdisk/debian"
	"github.com/metalpool/metalpool/ramdisk/kmod"
)

// Format counts up with each change of what is made of the same modules, the index of
// package kmod included: who keeps a part makes it anew.
const Format = 1

// Init makes the part that holds init, and what is to be there besides, compressed.
func Init(program []byte, more ...cpio.Record) ([]byte, error) {
	part, err := Archive(append([]cpio.Record{
		File("init", program, 0o755),
		cpio.CharDev("dev/console", 0o600, 5, 1), // what init's standard output is
	}, more...))
	if err != nil {
		return nil, err
	}
	encoder, err := newEncoder()
	if err != nil {
		return nil, err
	}
	return pad(encoder.EncodeAll(part, nil)), nil
}

func newEncoder() (*zstd.Encoder, error) {
	// One at a time, and so the same bytes each time.
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
}

// Modules returns the index of the kernel's modules that are wanted, with all that
// they need, and the records of their files and of the index. They are compressed one
// by one, and stay so in memory until they are used: most never are.
func Modules(ctx context.Context, kernel debian.Package, wanted func(kmod.Module) bool) (*kmod.Index, []cpio.Record, error) {
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
	index := kmod.NewIndex(all).Closure(wanted)
	encoder, err := newEncoder()
	if err != nil {
		return nil, nil, err
	}
	var files []cpio.Record
	err = kernel.Walk(ctx, func(f debian.File) error {
		if m, ok := index.Module(kmod.NameOf(f.Name)); f.Data == nil || !ok || m.Path != f.Name {
			return nil
		}
		data, err := io.ReadAll(f.Data)
		files = append(files, File(f.Name+kmod.Suffix, encoder.EncodeAll(data, nil), 0o644))
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	var list bytes.Buffer
	if err := index.Write(&list); err != nil {
		return nil, nil, err
	}
	return index, append(files, File(kmod.IndexPath, list.Bytes(), 0o644)), nil
}

// File is the record of a file.
func File(name string, data []byte, mode uint64) cpio.Record {
	return cpio.StaticRecord(data, cpio.Info{Name: name, Mode: cpio.S_IFREG | mode})
}

// Archive makes a part of an initramfs: the records, and the folders that they are
// in. The kernel takes several such parts one after the other.
func Archive(records []cpio.Record) ([]byte, error) {
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
