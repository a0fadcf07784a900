package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
	upstream "github.com/lima-vm/go-qcow2reader/image/qcow2"

	"github.com/metalpool/metalpool/core"
)

// qcow2Disk is a disk in QEMU's format, bare or with compressed clusters.
type qcow2Disk struct {
	image *upstream.Qcow2
	file  core.Bytes // size of the file it came in
}

func newQcow2(f *os.File, size core.Bytes) (*qcow2Disk, error) {
	if err := checkQcow2(f, size); err != nil {
		return nil, err
	}
	registerDecompressors()
	image, err := upstream.Open(f, nil)
	if err == nil {
		err = image.Readable()
	}
	if err != nil {
		return nil, qcow2Error(err)
	}
	return &qcow2Disk{image: image, file: size}, nil
}

// unpackQcow2 unpacks a file of packed bytes whole: its tables may be anywhere in it.
func unpackQcow2(r io.Reader, compression string, packed core.Bytes, scratch string) (content, error) {
	f, err := os.Create(filepath.Join(scratch, "unpacked.qcow2"))
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(f, io.LimitReader(r, int64(maxSize)))
	if err != nil {
		_ = f.Close()
		if errors.As(err, new(*os.PathError)) { // of f, since r has no paths
			return nil, err
		}
		return nil, unpackError(compression, err)
	}
	disk, err := newQcow2(f, core.Bytes(n))
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	disk.file = packed
	return &unpackedQcow2{disk, f}, nil
}

// unpackedQcow2 closes the file that was unpacked for it.
type unpackedQcow2 struct {
	*qcow2Disk
	io.Closer
}

func (d *qcow2Disk) size() core.Bytes { return core.Bytes(d.image.Size()) }

func (d *qcow2Disk) read(off int64) core.Bytes {
	return core.Bytes(float64(d.file) * float64(off) / float64(d.image.Size()))
}

func (d *qcow2Disk) next(p []byte, off int64) (int, error) {
	return int(min(int64(len(p)), d.image.Size()-off)), nil
}

func (d *qcow2Disk) load(p []byte, off int64) (bool, error) {
	zero, err := d.hole(off, int64(len(p)))
	if zero || err != nil {
		return zero, err
	}
	if n, err := d.image.ReadAt(p, off); n < len(p) {
		return false, qcow2Error(fmt.Errorf("byte %d of the disk: %w", off+int64(n), err))
	}
	return allZero(p), nil
}

// hole reports whether nothing is kept for that part of the disk.
func (d *qcow2Disk) hole(off, n int64) (bool, error) {
	for end := off + n; off < end; {
		e, err := d.image.Extent(off, end-off)
		if err != nil {
			return false, qcow2Error(fmt.Errorf("byte %d of the disk: %w", off, err))
		}
		if !e.Zero || e.Length <= 0 {
			return false, nil
		}
		off += e.Length
	}
	return true, nil
}

func qcow2Error(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return tooShort("the qcow2 file ends before data that its tables speak of: %w", err)
	}
	return damaged("the qcow2 file is damaged: %w", err)
}

// Bits of a header's incompatible features.
const (
	featureCorrupt = 1 << 1
	featureData    = 1 << 2
	featureL2      = 1 << 4

	knownFeatures = 1<<5 - 1
)

// checkQcow2 refuses what cannot be used, and every number in the header that the
// reader would believe: it makes tables of that size, and opens the files that are
// named.
func checkQcow2(f io.ReaderAt, size core.Bytes) error {
	header := make([]byte, 104)
	if _, err := f.ReadAt(header, 0); err != nil {
		return tooShort("the qcow2 file has %d bytes: less than its header", size)
	}
	version := binary.BigEndian.Uint32(header[4:])
	if version != 2 && version != 3 {
		return invalid(convert, fmt.Errorf("a qcow2 file of version %d; 2 and 3 are known", version))
	}
	if binary.BigEndian.Uint64(header[8:]) != 0 {
		return invalid("put both into one: qemu-img convert -O qcow2 FILE FILE.qcow2",
			errors.New("the qcow2 file has only the differences to a backing file"))
	}
	if binary.BigEndian.Uint32(header[32:]) != 0 {
		return invalid(convert, errors.New("the qcow2 file is encrypted"))
	}
	bits := binary.BigEndian.Uint32(header[20:])
	if bits < 9 || bits > 21 {
		return damaged("the qcow2 file is damaged: clusters of 2^%d bytes", bits)
	}
	if err := checkFeatures(header, version); err != nil {
		return err
	}

	disk := binary.BigEndian.Uint64(header[24:])
	if disk == 0 || disk > uint64(maxSize) {
		return invalid("", fmt.Errorf("a disk of %d bytes; the most is %s", disk, maxSize))
	}
	// Each entry of the first table is for a second one of one cluster, and each of
	// that one's, of 8 bytes, for one cluster of the disk.
	entries, tableAt := uint64(binary.BigEndian.Uint32(header[36:])), binary.BigEndian.Uint64(header[40:])
	perEntry := uint64(1) << (2*bits - 3)
	if need := (disk + perEntry - 1) / perEntry; entries < need || entries > need+1<<16 {
		return damaged("the qcow2 file is damaged: a table of %d entries for a disk that needs %d", entries, need)
	}
	if tableAt > math.MaxInt64-entries*8 || tableAt+entries*8 > uint64(size) {
		return tooShort("the qcow2 file has %d bytes, and its first table ends behind that", size)
	}
	return nil
}

func checkFeatures(header []byte, version uint32) error {
	if version < 3 {
		return nil
	}
	features := binary.BigEndian.Uint64(header[72:])
	switch {
	case features&featureCorrupt != 0:
		return invalid("repair it: qemu-img check -r all FILE", errors.New("the qcow2 file is marked as corrupt"))
	case features&featureData != 0:
		return invalid(convert, errors.New("the qcow2 file keeps its data in another file"))
	case features&featureL2 != 0:
		return invalid("convert it: qemu-img convert -O qcow2 -o extended_l2=off FILE FILE.qcow2", errors.New("the qcow2 file has extended L2 entries"))
	case features&^uint64(knownFeatures) != 0:
		return invalid(convert, fmt.Errorf("the qcow2 file needs features %#x, which are not known", features))
	}
	if n := binary.BigEndian.Uint32(header[100:]); n < 104 || n > 4096 {
		return damaged("the qcow2 file is damaged: a header of %d bytes", n)
	}
	return nil
}

// registerDecompressors replaces the reader's deflate and adds zstd. Its reads of a
// cluster begin anew where a decompressor gives less than was asked for, so ours
// give all of it.
var registerDecompressors = sync.OnceFunc(func() {
	inflaters := sync.Pool{New: func() any { return flate.NewReader(nil) }}
	upstream.SetDecompressor(upstream.CompressionTypeZlib, func(r io.Reader) (io.ReadCloser, error) {
		z := inflaters.Get().(io.ReadCloser)
		if err := z.(flate.Resetter).Reset(r, nil); err != nil {
			return nil, err
		}
		return &whole{z, func() { inflaters.Put(z) }}, nil
	})
	decoders := sync.Pool{New: func() any {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			return nil
		}
		return z
	}}
	upstream.SetDecompressor(upstream.CompressionTypeZstd, func(r io.Reader) (io.ReadCloser, error) {
		z, ok := decoders.Get().(*zstd.Decoder)
		if !ok {
			return nil, errors.New("no zstd decoder can be made")
		}
		if err := z.Reset(r); err != nil {
			return nil, err
		}
		return &whole{z, func() { decoders.Put(z) }}, nil
	})
})

// whole fills what it is given, and gives its reader back when it is closed.
type whole struct {
	r    io.Reader
	free func()
}

func (w *whole) Read(p []byte) (int, error) { return io.ReadFull(w.r, p) }

func (w *whole) Close() error {
	w.free()
	return nil
}

// closeContent closes what a content holds besides the file it was opened with.
func closeContent(c content) {
	if closer, ok := c.(io.Closer); ok {
		_ = closer.Close() // it was only read
	}
}
