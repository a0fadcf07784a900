// Package debian fetches Debian's packages, with their signatures checked by apt,
// and reads the files in them. It installs nothing and needs no root.
package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Package is a package's file.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	SHA256  string `json:"sha256"` // hex, of the file
	Path    string `json:"-"`
}

// Fetcher gets packages of the release that this machine runs.
type Fetcher struct {
	dir string
	apt *apt
}

// NewFetcher keeps what it fetches below dir, and asks what there is to be had.
func NewFetcher(ctx context.Context, dir string) (*Fetcher, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for _, program := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%s is not here; build on Debian: %w", program, err)
		}
	}
	release, err := codename()
	if err != nil {
		return nil, err
	}
	all, err := machineSources()
	if err != nil {
		return nil, err
	}
	sources, err := withFirmware(all, release)
	if err != nil {
		return nil, err
	}
	a, err := newApt(dir, sources)
	if err != nil {
		return nil, err
	}
	if err := a.update(ctx); err != nil {
		return nil, fmt.Errorf("ask what packages there are: %w", err)
	}
	return &Fetcher{dir: dir, apt: a}, nil
}

// Fetch gets the newest version of a package.
func (f *Fetcher) Fetch(ctx context.Context, name string) (Package, error) {
	fields, err := f.apt.candidate(ctx, name)
	if err != nil {
		return Package{}, err
	}
	p := Package{Name: name, Version: fields["Version"], SHA256: fields["SHA256"]}
	if found := Find(f.dir, p); found.Path != "" {
		return found, nil
	}
	if p.Path, err = f.apt.download(ctx, f.dir, p.Name, p.Version); err != nil {
		return Package{}, err
	}
	return p, check(p)
}

// Depends returns the first package that the package of that name depends on: what
// a package is that only stands for the newest of its kind.
func (f *Fetcher) Depends(ctx context.Context, name string) (string, error) {
	fields, err := f.apt.candidate(ctx, name)
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(fields["Depends"], ",")
	first, _, _ = strings.Cut(strings.TrimSpace(first), " ")
	if first == "" {
		return "", fmt.Errorf("package %s depends on nothing", name)
	}
	return first, nil
}

// Find returns the package with the path of its file in dir; without one where the
// file is not there, or is not the one.
func Find(dir string, p Package) Package {
	p.Path = ""
	files, _ := filepath.Glob(filepath.Join(dir, p.Name+"_*.deb"))
	for _, file := range files {
		found := p
		if found.Path = file; check(found) == nil {
			return found
		}
	}
	return p
}

func check(p Package) error {
	f, err := os.Open(p.Path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != p.SHA256 {
		return fmt.Errorf("%s has SHA-256 %s, and the lists say %s", filepath.Base(p.Path), got, p.SHA256)
	}
	return nil
}

// File is one of a package's: a regular one, or a link.
type File struct {
	Name string // from the root, without a leading slash
	Link string // where a symbolic link leads; empty: Data is the content
	Data io.Reader
}

// Walk calls fn for each file and link of a package; Data is to be read within fn.
func (p Package) Walk(ctx context.Context, fn func(File) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", p.Path)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	walkErr := walk(tar.NewReader(pipe), fn)
	if walkErr != nil {
		cancel()
	}
	_, _ = io.Copy(io.Discard, pipe) // a tar's padding
	if err := cmd.Wait(); err != nil && walkErr == nil {
		return fmt.Errorf("unpack %s: %w: %s", filepath.Base(p.Path), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return walkErr
}

// Read returns the first regular file of a package that fits.
func (p Package) Read(ctx context.Context, fits func(name string) bool) ([]byte, error) {
	var data []byte
	err := p.Walk(ctx, func(f File) (err error) {
		if data == nil && f.Data != nil && fits(f.Name) {
			data, err = io.ReadAll(f.Data)
		}
		return err
	})
	if err == nil && data == nil {
		err = errors.New("the file that is wanted of it is not there")
	}
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", p.Name, err)
	}
	return data, nil
}

func walk(archive *tar.Reader, fn func(File) error) error {
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		f := File{Name: strings.TrimPrefix(h.Name, "./")}
		switch h.Typeflag {
		case tar.TypeReg:
			f.Data = archive
		case tar.TypeSymlink:
			f.Link = h.Linkname
		default:
			continue
		}
		if err := fn(f); err != nil {
			return err
		}
	}
}
