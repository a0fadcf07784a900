package image

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
)

// rawDisk is a file that is the disk, byte for byte. Its holes are not read.
type rawDisk struct {
	f     *os.File
	bytes int64
}

func newRaw(f *os.File, size core.Bytes) (*rawDisk, error) {
	if size > maxSize {
		return nil, invalid("", fmt.Errorf("a disk of %s; the most is %s", size, maxSize))
	}
	return &rawDisk{f: f, bytes: int64(size)}, nil
}

func (d *rawDisk) size() core.Bytes          { return core.Bytes(d.bytes) }
func (d *rawDisk) read(off int64) core.Bytes { return core.Bytes(off) }
func (d *rawDisk) next(p []byte, off int64) (int, error) {
	return int(min(int64(len(p)), d.bytes-off)), nil
}

func (d *rawDisk) load(p []byte, off int64) (bool, error) {
	if hole(d.f, off, int64(len(p))) {
		return true, nil
	}
	if err := readFull(d.f, p, off); err != nil {
		return false, err
	}
	return allZero(p), nil
}

// hole reports whether the file system keeps nothing of that part of a file. Where
// it does not know, the answer is no. The file's position is moved, and used by
// nobody.
func hole(f *os.File, off, n int64) bool {
	data, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
	if err != nil {
		return errors.Is(err, unix.ENXIO) // only a hole follows, or the file's end
	}
	return data >= off+n
}

// readFull tells a file that was cut while it was read.
func readFull(f *os.File, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return tooShort("the file ends at byte %d, though it was longer", off+int64(n))
	}
	return err
}
