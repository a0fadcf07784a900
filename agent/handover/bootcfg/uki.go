package bootcfg

import (
	"bytes"
	"cmp"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// readImages lists the unified kernel images of a volume, for the menu, at most room of
// them.
func readImages(volume fs.FS, room int) ([]entry, error) {
	files, err := list(volume, "EFI/Linux")
	if err != nil {
		return nil, err
	}
	var found []entry
	for _, f := range files[:min(len(files), room)] {
		base, ok := cutSuffixFold(f.Name(), ".efi")
		if !ok || f.IsDir() {
			continue
		}
		dir, _ := lookup(volume, "EFI/Linux")
		e := entry{image: path.Join(dir, f.Name()), source: path.Join(dir, f.Name()), volume: volume}
		e.id, e.exhausted = cutCounter(base)
		release, err := sectionText(volume, e.image, ".osrel")
		if err != nil {
			continue // not such an image, as another program that happens to be there
		}
		of := assignments(release)
		e.title = cmp.Or(of["PRETTY_NAME"], of["NAME"])
		e.sortKey = cmp.Or(of["IMAGE_ID"], of["ID"])
		e.version = cmp.Or(of["IMAGE_VERSION"], of["VERSION"], of["VERSION_ID"], of["BUILD_ID"])
		found = append(found, e)
	}
	return found, nil
}

// imageStart takes a unified kernel image apart: kexec knows nothing of its stub.
func imageStart(volume fs.FS, name, title, source string) (Start, error) {
	s := Start{Title: title, Source: source, Kernel: File{Path: name, volume: volume, section: ".linux"}}
	if err := s.Kernel.there(); err != nil {
		return Start{}, fmt.Errorf("%s: %q is no unified kernel image: %w", source, title, err)
	}
	// Microcode comes first, as the stub has it.
	for _, section := range []string{".ucode", ".initrd"} {
		f := File{Path: name, volume: volume, section: section}
		if err := f.there(); err == nil {
			s.Initrds = append(s.Initrds, f)
		} else if !errors.Is(err, errNoSection) {
			return Start{}, err
		}
	}
	text, err := sectionText(volume, name, ".cmdline")
	if err != nil && !errors.Is(err, errNoSection) {
		return Start{}, err
	}
	s.Cmdline = strings.TrimSpace(text)
	return s, nil
}

var errNoSection = errors.New("there is no such section")

// sectionFile keeps the image open as long as its section is read.
type sectionFile struct {
	io.Reader
	io.Closer
}

func openSection(volume fs.FS, name, section string) (io.ReadCloser, error) {
	f, err := open(volume, name)
	if err != nil {
		return nil, err
	}
	r, err := findSection(f, section)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s, section %s: %w", name, section, err), f.Close())
	}
	return sectionFile{r, f}, nil
}

func findSection(f fs.File, section string) (io.Reader, error) {
	at, ok := f.(io.ReaderAt)
	if !ok {
		return nil, errors.New("the file can only be read from its beginning")
	}
	if err := boundSymbols(at); err != nil {
		return nil, err
	}
	image, err := pe.NewFile(at)
	if err != nil {
		return nil, err
	}
	s := image.Section(section)
	if s == nil {
		return nil, errNoSection
	}
	// The size in the file is rounded up.
	return io.NewSectionReader(at, int64(s.Offset), int64(min(s.Size, cmp.Or(s.VirtualSize, s.Size)))), nil
}

// boundSymbols refuses a program with more symbols than package pe should read into
// memory: it takes any number, and a file with holes may have as many.
func boundSymbols(at io.ReaderAt) error {
	const headerAt, tableAt, countAt, size, most = 0x3c, 12, 16, 18, 1 << 16
	number := func(off int64) int64 {
		b := make([]byte, 4)
		if n, _ := at.ReadAt(b, off); n < len(b) {
			return 0 // what is cut off is refused later
		}
		return int64(binary.LittleEndian.Uint32(b))
	}
	header := number(headerAt)
	table, count := number(header+tableAt), number(header+countAt)
	if count > most || table > 0 && number(table+size*count) > maxConfig {
		return errors.New("its table of symbols is too large")
	}
	return nil
}

func sectionText(volume fs.FS, name, section string) (string, error) {
	r, err := openSection(volume, clean(name), section)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(r, maxSmall))
	return string(bytes.TrimRight(b, "\x00")), errors.Join(err, r.Close())
}

// assignments reads an os-release.
func assignments(text string) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			found[key] = strings.Trim(value, `"'`)
		}
	}
	return found
}
