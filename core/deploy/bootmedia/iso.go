// Package bootmedia makes the boot ISO and the media that nodes get of it: the same
// bytes for all, but for the parameter area. It also finds the area again, for who
// was booted from such media.
package bootmedia

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/metalpool/metalpool/core/deploy/iso9660"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

const (
	// Label is the ISO's volume identifier.
	Label = "METALPOOL"
	// ParamsFile is the file in the ISO's root folder that is the parameter area.
	ParamsFile = "PARAMS.BIN"
)

// Contents is what the ISO carries besides the parameter area.
type Contents struct {
	Files []iso9660.File
	// System is a disk image with a FAT file system that UEFI firmware starts from;
	// nil where nothing is to be started.
	System *iso9660.File
}

// Write writes an ISO with a blank parameter area. The same contents give the same
// bytes.
func Write(w io.Writer, c Contents) error {
	params := iso9660.File{Name: ParamsFile, Size: wire.AreaSize, Data: bytes.NewReader(wire.BlankArea())}
	layout, err := iso9660.Plan(iso9660.Volume{ID: Label, Files: append([]iso9660.File{params}, c.Files...), Boot: c.System})
	if err != nil {
		return fmt.Errorf("lay out the boot ISO: %w", err)
	}
	if err := layout.Write(w); err != nil {
		return fmt.Errorf("write the boot ISO: %w", err)
	}
	return nil
}

// ISO is a boot ISO that media are made of. It may be used by many at once.
type ISO struct {
	data   io.ReaderAt
	size   int64
	area   int64 // where the parameter area begins
	digest [sha256.Size]byte
}

// OpenFile opens the ISO in that file, of which it reads no more than the header. It
// stays open as long as the process lives: media of it are read for as long.
func OpenFile(path string) (*ISO, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	iso, err := openFile(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return iso, nil
}

func openFile(f *os.File) (*ISO, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	iso, err := locate(f, info.Size())
	if err != nil {
		return nil, err
	}
	// Who replaces the file gives it another time. Its content would be a better name,
	// and costs each process the time to read it all.
	iso.digest = sha256.Sum256(fmt.Appendf(nil, "%d %d", info.Size(), info.ModTime().UnixNano()))
	return iso, nil
}

// Open takes an ISO that Write wrote. It reads it once; r is read again whenever
// media of it are.
func Open(r io.ReaderAt, size int64) (*ISO, error) {
	iso, err := locate(r, size)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(r, 0, size)); err != nil {
		return nil, fmt.Errorf("read the boot ISO: %w", err)
	}
	sum.Sum(iso.digest[:0])
	return iso, nil
}

func locate(r io.ReaderAt, size int64) (*ISO, error) {
	area, err := findArea(r)
	if err != nil {
		return nil, err
	}
	if area+wire.AreaSize > size {
		return nil, errors.New("the boot ISO ends before its parameter area does")
	}
	return &ISO{data: r, size: size, area: area}, nil
}

// ReadParams finds the parameter area of a medium and returns its bytes, for
// wire.DecodeParams. Of the
// medium it reads the header, the root folder and the area alone.
func ReadParams(r io.ReaderAt) ([]byte, error) {
	area, err := findArea(r)
	if err != nil {
		return nil, err
	}
	return iso9660.ReadFile(r, iso9660.Entry{Name: ParamsFile, Offset: area, Size: wire.AreaSize}, wire.AreaSize)
}

func findArea(r io.ReaderAt) (int64, error) {
	list, err := iso9660.List(r)
	if err != nil {
		return 0, fmt.Errorf("the medium is no boot ISO: %w", err)
	}
	e, ok := list.Find(ParamsFile)
	if list.Label != Label || !ok || e.Size != wire.AreaSize {
		return 0, fmt.Errorf("the medium is no boot ISO of metalpool: its label is %q, and it has no parameter area", list.Label)
	}
	return e.Offset, nil
}

// VersionFile is the file that tells with which engines the agent in the ISO talks.
const VersionFile = "VERSION.TXT"

// Version makes the file of an ISO whose agent speaks that wire version.
func Version(version int) iso9660.File {
	text := strconv.Itoa(version) + "\n"
	return iso9660.File{Name: VersionFile, Size: int64(len(text)), Data: strings.NewReader(text)}
}

// Version returns what the ISO's version file says.
func (iso *ISO) Version() (int, error) {
	list, err := iso9660.List(iso.data)
	if err != nil {
		return 0, err
	}
	e, ok := list.Find(VersionFile)
	if !ok {
		return 0, errors.New("the boot ISO does not say of which version its agent is")
	}
	text, err := iso9660.ReadFile(iso.data, e, 64)
	if err != nil {
		return 0, err
	}
	version, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("the boot ISO says %q of its agent's version", text)
	}
	return version, nil
}
