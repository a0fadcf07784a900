package iso9660

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// File is one to be written.
type File struct {
	Name string // 1 to 64 of [A-Za-z0-9._-]
	Size int64  // bytes, less than 4 GiB
	Data io.Reader
}

// Volume is what a file system is made of.
type Volume struct {
	ID    string // the label: 1 to 32 of [A-Za-z0-9_-]
	Files []File
	// Boot, where it is set, is a disk image with a FAT file system that UEFI
	// firmware starts from (El Torito). Its Name is not used.
	Boot *File
}

// epoch is the time of everything, so that equal files give equal bytes.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Layout is a volume that knows where everything goes.
type Layout struct {
	volume  Volume
	files   []placed // in the order of their names
	boot    placed
	root    placed
	catalog uint32 // sector of El Torito's catalog
	tables  uint32 // sector of the first path table
	sectors uint32 // in all
}

type placed struct {
	File
	sector  uint32
	isoName string
}

// Plan lays a volume out; an error says what of it cannot be.
func Plan(v Volume) (*Layout, error) {
	if len(v.ID) == 0 || len(v.ID) > volumeIDLen || strings.Trim(v.ID, letters+"0123456789_-") != "" {
		return nil, fmt.Errorf("label %q is not 1 to %d letters and digits", v.ID, volumeIDLen)
	}
	l := &Layout{volume: v}
	next := uint32(firstDescriptor + 2)
	if v.Boot != nil {
		next++
	}
	l.tables = next
	next += 2 // one with little-endian numbers, one with big-endian ones
	names := map[string]bool{}
	for _, f := range v.Files {
		p := placed{File: f, isoName: isoName(f.Name)}
		if len(f.Name) == 0 || len(f.Name) > 64 || strings.Trim(f.Name, letters+"0123456789._-") != "" {
			return nil, fmt.Errorf("file name %q is not 1 to 64 letters, digits, dots and hyphens", f.Name)
		}
		if names[p.isoName] {
			return nil, fmt.Errorf("file name %q is too much like another", f.Name)
		}
		names[p.isoName] = true
		l.files = append(l.files, p)
	}
	slices.SortFunc(l.files, func(a, b placed) int { return strings.Compare(a.isoName, b.isoName) })

	l.root = placed{sector: next, File: File{Size: int64(len(l.rootDirectory()))}}
	next += sectors(l.root.Size)
	if v.Boot != nil {
		l.catalog = next
		next++
	}
	place := func(p *placed) error {
		if p.Size < 0 || p.Size > math.MaxUint32 || int64(next)+p.Size/sector+1 > math.MaxUint32 {
			return fmt.Errorf("file %s has %d bytes; the most is 4 GiB", p.Name, p.Size)
		}
		p.sector = next
		next += sectors(p.Size)
		return nil
	}
	for i := range l.files {
		if err := place(&l.files[i]); err != nil {
			return nil, err
		}
	}
	if v.Boot != nil {
		// Last, since firmware takes an image that is too large for the catalog's
		// 16-bit size to reach to the medium's end.
		l.boot = placed{File: *v.Boot}
		l.boot.Name = "boot image"
		if err := place(&l.boot); err != nil {
			return nil, err
		}
	}
	l.sectors = next
	return l, nil
}

// Size is the file system's, in bytes.
func (l *Layout) Size() int64 { return int64(l.sectors) * sector }

// Write writes the file system, reading each file's Data once. A file that has
// fewer or more bytes than its Size is an error.
func (l *Layout) Write(w io.Writer) error {
	head := make([]byte, firstDescriptor*sector, l.root.sector*sector)
	head = append(head, l.primary()...)
	if l.volume.Boot != nil {
		head = append(head, bootRecord(l.catalog)...)
	}
	head = append(head, descriptor(typeTerminator)...)
	head = append(head, l.pathTable(binary.LittleEndian)...)
	head = append(head, l.pathTable(binary.BigEndian)...)
	head = append(head, pad(l.rootDirectory())...)
	if l.volume.Boot != nil {
		head = append(head, bootCatalog(l.boot)...)
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	for _, f := range l.files {
		if err := writeFile(w, f.File); err != nil {
			return err
		}
	}
	if l.volume.Boot != nil {
		return writeFile(w, l.boot.File)
	}
	return nil
}

func writeFile(w io.Writer, f File) error {
	n, err := io.CopyN(w, f.Data, f.Size)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s has %d bytes instead of %d", f.Name, n, f.Size)
	}
	if err != nil {
		return err
	}
	if n, _ := io.ReadFull(f.Data, make([]byte, 1)); n > 0 {
		return fmt.Errorf("%s has more than %d bytes", f.Name, f.Size)
	}
	_, err = w.Write(make([]byte, int64(sectors(f.Size))*sector-f.Size))
	return err
}

func (l *Layout) primary() []byte {
	d := descriptor(typePrimary)
	blank := func(from, to int) { copy(d[from:to], strings.Repeat(" ", to-from)) }
	blank(8, 40) // system
	blank(volumeIDAt, volumeIDAt+volumeIDLen)
	copy(d[volumeIDAt:], l.volume.ID)
	both32(d[80:], l.sectors)
	both16(d[120:], 1) // volumes in the set
	both16(d[124:], 1) // which of them this is
	both16(d[blockSizeAt:], sector)
	both32(d[132:], pathTableLen)
	binary.LittleEndian.PutUint32(d[140:], l.tables)
	binary.BigEndian.PutUint32(d[148:], l.tables+1)
	copy(d[rootAt:], record("\x00", l.root, flagDirectory, nil))
	blank(190, 813) // who made it, and with what
	for at := 813; at < 813+4*17; at += 17 {
		copy(d[at:], strings.Repeat("0", 16)) // no time is given
	}
	copy(d[813:], epoch.Format("20060102150405")+"00") // made
	copy(d[830:], epoch.Format("20060102150405")+"00") // changed
	d[881] = 1
	return d
}

const pathTableLen = 10

// pathTable has the root alone.
func (l *Layout) pathTable(order binary.ByteOrder) []byte {
	t := make([]byte, sector)
	t[0] = 1 // length of the name, which is a zero byte
	order.PutUint32(t[2:], l.root.sector)
	order.PutUint16(t[6:], 1) // its own parent
	return t
}

func (l *Layout) rootDirectory() []byte {
	self := slices.Concat(
		[]byte{'S', 'P', 7, 1, 0xBE, 0xEF, 0}, // the extensions begin right behind the names
		posix(0o40555, 2),
		[]byte{'E', 'R', 18, 1, 10, 0, 0, 1}, []byte("RRIP_1991A"))
	dir := record("\x00", l.root, flagDirectory, self)
	dir = append(dir, record("\x01", l.root, flagDirectory, posix(0o40555, 2))...)
	for _, f := range l.files {
		extra := append([]byte{'N', 'M', byte(5 + len(f.Name)), 1, 0}, f.Name...)
		r := record(f.isoName, f, 0, append(extra, posix(0o100400, 1)...))
		if room := sector - len(dir)%sector; room < len(r) { // no record crosses a sector's end
			dir = append(dir, make([]byte, room)...)
		}
		dir = append(dir, r...)
	}
	return pad(dir)
}

// record is a directory record: what is at p, and the Rock Ridge fields extra.
func record(name string, p placed, flags byte, extra []byte) []byte {
	r := make([]byte, recordLen, recordLen+len(name)+1+len(extra)+1)
	both32(r[2:], p.sector)
	both32(r[10:], uint32(p.Size))
	copy(r[18:], []byte{byte(epoch.Year() - 1900), byte(epoch.Month()), byte(epoch.Day()), 0, 0, 0, 0})
	r[25] = flags
	both16(r[28:], 1)
	r[32] = byte(len(name))
	r = append(r, name...)
	if len(r)%2 == 1 {
		r = append(r, 0)
	}
	r = append(r, extra...)
	if len(r)%2 == 1 {
		r = append(r, 0)
	}
	r[0] = byte(len(r))
	return r
}

// posix is Rock Ridge's PX field: mode and links, owned by root.
func posix(mode, links uint32) []byte {
	f := make([]byte, 36)
	copy(f, []byte{'P', 'X', 36, 1})
	both32(f[4:], mode)
	both32(f[12:], links)
	return f
}

// isoName is the name for readers that know no Rock Ridge: upper case, one dot.
func isoName(name string) string {
	base, ext := name, ""
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
		base, ext = name[:dot], name[dot+1:]
	}
	plain := func(s string, most int) string {
		s = strings.Map(func(r rune) rune {
			if strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", r) {
				return r
			}
			return '_'
		}, strings.ToUpper(s))
		return s[:min(len(s), most)]
	}
	return plain(base, 20) + "." + plain(ext, 8) + ";1"
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func descriptor(kind byte) []byte {
	d := make([]byte, sector)
	d[0] = kind
	copy(d[1:], standardID)
	d[6] = 1
	return d
}

func sectors(size int64) uint32 { return uint32((size + sector - 1) / sector) }

func pad(b []byte) []byte {
	return append(b, make([]byte, int(sectors(int64(len(b))))*sector-len(b))...)
}

// both32 and both16 write a number in both byte orders, one behind the other.
func both32(b []byte, n uint32) {
	binary.LittleEndian.PutUint32(b, n)
	binary.BigEndian.PutUint32(b[4:], n)
}

func both16(b []byte, n uint16) {
	binary.LittleEndian.PutUint16(b, n)
	binary.BigEndian.PutUint16(b[2:], n)
}
