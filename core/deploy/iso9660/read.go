package iso9660

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Entry is a file that was found.
type Entry struct {
	Name   string
	Offset int64 // in bytes from the file system's start
	Size   int64
}

// Listing is the root folder of a file system.
type Listing struct {
	Label string
	Files []Entry
}

// maxRoot bounds the root folder that List takes, in bytes.
const maxRoot = 64 << 10

// List reads a file system's label and the files of its root folder, by their
// Rock Ridge names where they have some. It reads the header and the folder only,
// never a file.
func List(r io.ReaderAt) (Listing, error) {
	d := make([]byte, sector)
	if err := readFull(r, d, firstDescriptor*sector); err != nil {
		return Listing{}, fmt.Errorf("no ISO 9660 file system: %w", err)
	}
	if d[0] != typePrimary || string(d[1:6]) != standardID {
		return Listing{}, errors.New("no ISO 9660 file system: its first descriptor is not there")
	}
	if size := binary.LittleEndian.Uint16(d[blockSizeAt:]); size != sector {
		return Listing{}, fmt.Errorf("an ISO 9660 file system with blocks of %d bytes; only %d is usual", size, sector)
	}
	root := d[rootAt : rootAt+recordLen+1]
	size := binary.LittleEndian.Uint32(root[10:])
	if size == 0 || size > maxRoot {
		return Listing{}, fmt.Errorf("an ISO 9660 file system whose root folder has %d bytes", size)
	}
	dir := make([]byte, size)
	if err := readFull(r, dir, int64(binary.LittleEndian.Uint32(root[2:]))*sector); err != nil {
		return Listing{}, fmt.Errorf("read the root folder: %w", err)
	}
	l := Listing{Label: strings.TrimRight(string(d[volumeIDAt:volumeIDAt+volumeIDLen]), " \x00")}
	for at := 0; at < len(dir); {
		n := int(dir[at])
		if n == 0 { // nothing more in this sector
			at = (at/sector + 1) * sector
			continue
		}
		if n < recordLen+1 || at+n > len(dir) || recordLen+int(dir[at+32]) > n {
			return Listing{}, fmt.Errorf("the root folder is damaged at byte %d", at)
		}
		if e, ok := entry(dir[at : at+n]); ok {
			l.Files = append(l.Files, e)
		}
		at += n
	}
	return l, nil
}

// entry reads a directory record; folders are not entries.
func entry(r []byte) (Entry, bool) {
	if r[25]&flagDirectory != 0 {
		return Entry{}, false
	}
	nameLen := int(r[32])
	name, _, _ := strings.Cut(string(r[recordLen:recordLen+nameLen]), ";")
	name = strings.TrimSuffix(name, ".")
	extra := r[min(recordLen+nameLen+(nameLen+1)%2, len(r)):]
	for len(extra) >= 4 {
		n := int(extra[2])
		if n < 4 || n > len(extra) {
			break
		}
		if bytes.HasPrefix(extra, []byte("NM")) && n > 5 {
			name = string(extra[5:n])
		}
		extra = extra[n:]
	}
	return Entry{
		Name:   name,
		Offset: int64(binary.LittleEndian.Uint32(r[2:])) * sector,
		Size:   int64(binary.LittleEndian.Uint32(r[10:])),
	}, true
}

// Find returns the file of that name.
func (l Listing) Find(name string) (Entry, bool) {
	for _, e := range l.Files {
		if strings.EqualFold(e.Name, name) {
			return e, true
		}
	}
	return Entry{}, false
}

// ReadFile reads a file whole; one of more than most bytes is an error.
func ReadFile(r io.ReaderAt, e Entry, most int64) ([]byte, error) {
	if e.Size > most {
		return nil, fmt.Errorf("file %s has %d bytes; the most is %d", e.Name, e.Size, most)
	}
	data := make([]byte, e.Size)
	if err := readFull(r, data, e.Offset); err != nil {
		return nil, fmt.Errorf("read file %s: %w", e.Name, err)
	}
	return data, nil
}

// readFull takes the io.EOF that may come with the last byte for no error.
func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
