//go:build vm

package vmtest_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/tinyos"
)

// newMark is what an owner writes to all disks, and nobody after it may find.
func newMark() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	return "mark" + hex.EncodeToString(b[:])
}

// marked is user data that has the OS write the mark to all disks.
func marked(mark string) []byte { return []byte("#cloud-config\n" + tinyos.Mark + mark + "\n") }

// The disks are looked at from outside, as the files that they are, while the server
// is off: what a system inside sees may be a cache, or the disk's own opinion.

// fill puts data at some places of a disk, as of an owner before all others, and
// returns a piece of it to look for.
func fill(t *testing.T, d core.Disk) []byte {
	t.Helper()
	f, err := os.OpenFile(d.Path, os.O_WRONLY, 0)
	try(t, err)
	defer func() { try(t, f.Close()) }()
	data := make([]byte, 256<<10)
	_, _ = rand.Read(data)
	for _, place := range []int64{0, int64(d.Size) / 5, int64(d.Size) - int64(len(data))} {
		_, err := f.WriteAt(data, place)
		try(t, err)
	}
	return data[1000:1064]
}

// content is a disk's SHA-256; with a mark, as if that were written to it.
func content(t *testing.T, d core.Disk, mark string) string {
	t.Helper()
	f, err := os.Open(d.Path)
	try(t, err)
	defer func() { try(t, f.Close()) }()
	sum := sha256.New()
	end := int64(0)
	for _, place := range tinyos.MarkPlaces(int64(d.Size), 0) {
		_, err := io.Copy(sum, io.NewSectionReader(f, end, place-end))
		try(t, err)
		_, _ = sum.Write([]byte(mark))
		end = place + int64(len(mark))
	}
	_, err = io.Copy(sum, io.NewSectionReader(f, end, int64(d.Size)-end))
	try(t, err)
	return hex.EncodeToString(sum.Sum(nil))
}

// holds counts where a piece of data is on a disk.
func holds(t *testing.T, d core.Disk, piece []byte) (count int) {
	t.Helper()
	f, err := os.Open(d.Path)
	try(t, err)
	defer func() { try(t, f.Close()) }()
	const window = 4 << 20
	buffer := make([]byte, window+len(piece))
	eachData(t, f, int64(d.Size), func(from, to int64) {
		for at := from; at < to; at += window {
			n, err := f.ReadAt(buffer[:min(int64(len(buffer)), int64(d.Size)-at)], at)
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			// What begins in this window; what begins behind it is the next one's.
			count += bytes.Count(buffer[:min(n, window+len(piece)-1)], piece)
		}
	})
	return count
}

// eachData calls do for each part of a sparse file that is not a hole.
func eachData(t *testing.T, f *os.File, size int64, do func(from, to int64)) {
	t.Helper()
	for end := int64(0); end < size; {
		from, err := unix.Seek(int(f.Fd()), end, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return
		}
		try(t, err)
		end, err = unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE)
		try(t, err)
		do(from, end)
	}
}
