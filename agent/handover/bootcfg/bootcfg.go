// Package bootcfg reads what is installed on a disk, and says which kernel its boot
// loader would start: GRUB by its script, systemd-boot by boot loader entries and
// unified kernel images. It changes nothing, and believes nothing: an owner's image
// may hold anything, so that sizes, steps and depths are bounded.
package bootcfg

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Volume is a file system of the disk.
type Volume struct {
	Name   string // what messages call it
	Number int    // of its partition, from 1
	UUID   string // of the file system
	Label  string
	ESP    bool // an EFI system partition
	Files  fs.FS
}

// File is a file of a volume, or a section of one.
type File struct {
	Path    string // for messages, and GRUB's BOOT_IMAGE
	volume  fs.FS
	section string // of a unified kernel image
}

// Open returns the file's content.
func (f File) Open() (io.ReadCloser, error) {
	if f.section != "" {
		return openSection(f.volume, clean(f.Path), f.section)
	}
	return open(f.volume, f.Path)
}

func (f File) there() error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	return r.Close()
}

// Start is what the boot loader would start.
type Start struct {
	Title   string
	Source  string // the file that says so
	Kernel  File
	Initrds []File // one after the other
	Cmdline string
}

// errNothing says that a boot loader has left no trace.
var errNothing = errors.New("none is there")

// Choose returns the default of the disk's boot loader. The error tells, of each kind
// of boot loader, what there is.
func Choose(volumes []Volume) (Start, error) {
	type finder struct {
		name string
		find func([]Volume) (Start, error)
	}
	finders := []finder{{"grub.cfg", grubStart}, {"boot loader entry or unified kernel image", entryStart}}
	if startsSystemdBoot(volumes) {
		finders[0], finders[1] = finders[1], finders[0]
	}
	var why []string
	for _, f := range finders {
		start, err := f.find(volumes)
		if err == nil {
			err = start.check()
		}
		if err == nil {
			start.Title = clip(start.Title)
			return start, nil
		}
		if errors.Is(err, errNothing) {
			err = fmt.Errorf("there is no %s", f.name)
		}
		why = append(why, clip(err.Error()))
	}
	return Start{}, errors.New(strings.Join(why, "; "))
}

// clip shortens a text for people: some of it is what a disk says.
func clip(text string) string {
	const longest = 1000
	if len(text) > longest {
		return text[:longest] + "…"
	}
	return text
}

// check finds out before it is too late that a file is missing.
func (s Start) check() error {
	for _, f := range append([]File{s.Kernel}, s.Initrds...) {
		if err := f.there(); err != nil {
			return fmt.Errorf("%s: %q needs %s, which cannot be read: %w", s.Source, s.Title, f.Path, err)
		}
	}
	return nil
}
