package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// image has the catalogue list an image as is said of it. Its file is examined where that
// may be another one by now.
func (a *applied) image(tx Tx, said ImageDeclaration) (Declared, error) {
	d := Declared{Kind: kindImage, Name: said.Name}
	there, missed := tx.Image(said.Name)
	if missed != nil && !Is(missed, NotFound) {
		return d, missed
	}
	want, err := said.of(there, missed != nil)
	if err != nil {
		return d, err
	}
	if want.Source != there.Source || want.Format != there.Format {
		if want, err = a.contentOf(want, said, there); err != nil {
			return d, err
		}
	}
	return a.declare(d, missed, there.Declaration(), want.Declaration(), there.DeclaredBy, func() error {
		want.DeclaredBy = a.by
		if missed != nil {
			want.AddedAt = tx.Now().UTC().Truncate(time.Second)
		}
		return tx.PutImage(want)
	})
}

// of is the image as it is to be listed, as far as that is said.
func (said ImageDeclaration) of(there Image, fresh bool) (want Image, err error) {
	bad := func(hint string, err error) error {
		return &Error{Op: "declare image " + said.Name, Kind: Invalid, Err: err, Hint: hint}
	}
	want = there
	said.SHA256 = strings.ToLower(said.SHA256)
	said.apply(&want)
	if want.Arch, err = ParseArch(want.Arch); err != nil {
		return want, bad("", err)
	}
	want.Arch = cmp.Or(want.Arch, "amd64")
	if want.Source != there.Source {
		want.Named = "" // that was the other one's
	}
	switch {
	case want.Source == "":
		return want, bad("give its source: a path, or an https URL", errors.New("it is not said where it is"))
	case want.User == "":
		return want, bad("give its user, such as debian", errors.New("it is not said who logs in"))
	case !fresh && want.SHA256 != there.SHA256:
		return want, otherContent("declare image "+want.Name, there.SHA256, want.SHA256)
	}
	if err := want.Boot.Validate(); err != nil {
		return want, bad("leave it out for "+string(Kexec), err)
	}
	return want, nil
}

// contentOf is the image with what was found in its file; a dry run notes that this is
// to be examined.
func (a *applied) contentOf(want Image, said ImageDeclaration, there Image) (Image, error) {
	if a.options.DryRun {
		if a.unread != nil {
			asked := want
			asked.SHA256, asked.Format = strings.ToLower(said.SHA256), said.Format
			*a.unread = append(*a.unread, asked)
		}
		return want, nil
	}
	read, ok := a.read[want.Name]
	switch {
	case !ok || read.Source != want.Source:
		return want, &Error{Op: "declare image " + want.Name, Kind: Busy, Err: errors.New("somebody else has changed it meanwhile"), Hint: "apply it again"}
	case there.SHA256 != "" && read.SHA256 != there.SHA256:
		return want, otherContent("declare image "+want.Name, there.SHA256, read.SHA256)
	}
	// Of the rest others may have said something while it was read.
	want.SHA256, want.Format, want.Size, want.MinDisk = read.SHA256, read.Format, read.Size, read.MinDisk
	return want, nil
}

// examine reads the images that need it.
func (a *applied) examine(ctx context.Context) error {
	for _, i := range *a.unread {
		read, err := a.engine.deployer.Examine(ctx, i, func(done, total Bytes) {
			say(a.options.Report, Progress{Node: NodeID(i.Name), Step: "read", Done: done, Total: total})
		})
		if err != nil {
			return err
		}
		read.Source = i.Source // as it was said: it is found by that again
		a.read[i.Name] = read
	}
	return nil
}

// ImageFinder is a Deployer that looks whether an image's file is there, and does not read
// it; of one elsewhere it says nothing.
type ImageFinder interface {
	FindImage(i Image) error
}

// findImages refuses files that are not there, all of them, before one is read.
func (a *applied) findImages() error {
	finder, looks := a.engine.deployer.(ImageFinder)
	if !looks {
		return nil
	}
	var wrong faults
	for _, i := range *a.unread {
		if err := wrong.add(kindImage, i.Name, finder.FindImage(i)); err != nil {
			return err
		}
	}
	return wrong.err()
}

// otherContent refuses another file under a name that deploys may be under way with.
func otherContent(op, there, found string) error {
	return &Error{Op: op, Kind: Exists, Err: fmt.Errorf("it is there with SHA-256 %s, this file has %s", there, found), Hint: "choose another name, or remove the old one first"}
}
