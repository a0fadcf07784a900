// Package tinyos is an operating system for virtual machines that starts in seconds
// where a processor is emulated: Debian's kernel, and as the only program one of ours
// that does what a Debian with cloud-init, sshd and Docker would do, as far as package
// lab/guest knows it. It makes the faults of real machines cheap to rehearse.
//
// Its image has one partition, the EFI system partition, with systemd-boot and one
// boot loader entry; so firmware starts it, and kexec does. It keeps nothing: what is
// changed while it runs is gone with the next start, and the seed is applied anew.
//
// What it does otherwise than a good OS, an image of it is told by words on the
// kernel's command line; see Word.
package tinyos

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Word is a word on the kernel's command line.
type Word string

const (
	// HangAfterKexec stops the machine right at its start where it was started by
	// kexec. Started by firmware it runs.
	HangAfterKexec Word = "tinyos.kexec=hang"
	// NoSeed is an image without cloud-init: it shows a host key of its own, and lets
	// nobody in.
	NoSeed Word = "tinyos.seed=ignored"
)

// Mark starts a line of the user data. What follows it is written to every disk of
// the machine before anybody is let in, at MarkPlaces, past what file systems there
// are: what an owner leaves behind that an erase of files would not find.
const Mark = "# tinyos-mark: "

// MarkPlaces are offsets in bytes on a disk of that size on which the mark is
// written; on the disk that the OS is on, those before keep are left out.
func MarkPlaces(size, keep int64) []int64 {
	const sector = 4096
	places := []int64{8 * sector, size / 3 / sector * sector, size / 2 / sector * sector, size - 64*sector}
	return slices.DeleteFunc(places, func(at int64) bool { return at < keep })
}

// Blank is where an image's command line takes the words, in the form that the
// builder leaves it.
const Blank = "tinyos=" + "................................................................"

// Options returns what stands instead of Blank, of the same length.
func Options(words []Word) (string, error) {
	var text strings.Builder
	for _, w := range words {
		text.WriteString(string(w) + " ")
	}
	if text.Len() > len(Blank) {
		return "", fmt.Errorf("%d words are too many", len(words))
	}
	return text.String() + strings.Repeat(" ", len(Blank)-text.Len()), nil
}

// Write copies an image as the builder made it, with words on its command line.
func Write(image, to string, words ...Word) error {
	data, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	options, err := Options(words)
	if err != nil {
		return err
	}
	if n := bytes.Count(data, []byte(Blank)); n != 1 {
		return fmt.Errorf("the tiny OS's image has %d places for the words on its command line", n)
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(bytes.Replace(data, []byte(Blank), []byte(options), 1)))
	return errors.Join(err, f.Close())
}

// Modules are the kernel's that the tiny OS loads: what QEMU's machines have.
func Modules() []string {
	return []string{"virtio_pci", "virtio_blk", "virtio_net", "virtio_scsi", "nvme", "ahci", "sd_mod", "e1000e", "button", "evdev"}
}
