package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
)

// racks are rack files that are applied together.
type racks []rackfile.Rack

// read reads the files that -f names. All that is wrong in any of them is told.
func (f *applyFlags) read(a *app) (racks, error) {
	if len(f.files) == 0 {
		return nil, usagef("which file? name it with -f FILE")
	}
	paths, err := rackFiles(f.files)
	if err != nil {
		return nil, err
	}
	as, err := f.declarer()
	if err != nil {
		return nil, err
	}
	var all racks
	for _, path := range paths {
		r, reading := readRack(a.in, "-f", path)
		switch {
		case reading != nil:
			err = errors.Join(err, reading)
		case r.Empty:
			err = errors.Join(err, usagef("%s declares nothing: it is empty, or all of it is comments; 'metalpool help rack-file' tells what it may hold", fileName(path)))
		default:
			all = append(all, r)
		}
	}
	if err != nil {
		return nil, err
	}
	if as == "" {
		err = rackfile.OneDeclarer(all)
	}
	for i := range all {
		if as != "" {
			all[i].Declaration.By = as
		}
	}
	return all, asUsage(errors.Join(rackfile.Clash(all), err))
}

// declarer is who --as says declares all of it; "" is each file by itself.
func (f *applyFlags) declarer() (core.Declarer, error) {
	switch as := core.Declarer(f.as); as {
	case "", core.DeclaredInTerraform, core.DeclaredOnCommandLine:
		return as, nil
	}
	name, file := strings.CutPrefix(f.as, string(core.DeclaredIn("")))
	if !file || name == "" {
		return "", usagef("--as %q is neither %q nor %q, nor %q", f.as, core.DeclaredInTerraform, core.DeclaredOnCommandLine, core.DeclaredIn("NAME"))
	}
	if err := rackfile.CheckName(name); err != nil {
		return "", usagef("--as %s: %w", f.as, err)
	}
	return core.DeclaredIn(name), nil
}

// rackFiles are the files that are named, and those of the folders that are.
func rackFiles(named []string) (paths []string, err error) {
	for _, name := range named {
		some := []string{name} // what cannot be opened is told by who opens it
		if info, err := os.Stat(name); name != "-" && err == nil && info.IsDir() {
			if some, err = rackFilesIn(name); err != nil {
				return nil, err
			}
		}
		for _, path := range some {
			if slices.ContainsFunc(paths, func(p string) bool { return filepath.Clean(p) == filepath.Clean(path) }) {
				return nil, usagef("-f names %s twice", path)
			}
			paths = append(paths, path)
		}
	}
	return paths, nil
}

func rackFilesIn(folder string) (paths []string, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, usagef("-f: %w", err)
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(e.Name(), ".") {
			paths = append(paths, filepath.Join(folder, e.Name()))
		}
	}
	if len(paths) == 0 {
		return nil, usagef("-f %s: the folder has no *.yaml or *.yml; folders below it are not looked into", folder)
	}
	return paths, nil
}

// fileName is a file's name, for people.
func fileName(path string) string {
	if path == "-" {
		return "standard input"
	}
	return path
}

// declaration is what all of them declare together.
func (all racks) declaration() core.Declaration {
	d := all[0].Declaration
	for _, r := range all[1:] {
		d.With = append(d.With, r.Declaration)
	}
	return d
}

// at is where a part of a thing is; "" where no file has it.
func (all racks) at(of, name string, m core.Remark) string {
	for _, r := range all {
		if at := r.At(of, name, m); at != "" {
			return at
		}
	}
	return ""
}

// located tells the faults of a declaration with where in the files they are, a line for
// each.
func (all racks) located(err error) error {
	e, ok := errors.AsType[*core.Error](err)
	if !ok || len(e.Faults) == 0 {
		return err
	}
	var lines []string
	found := false
	for _, f := range e.Faults {
		line := f.String()
		if at := all.at(f.Of, f.Name, f.Remark); at != "" {
			line, found = at+": "+line, true
		}
		lines = append(lines, line)
	}
	switch {
	case !found:
		return err
	case len(lines) > 1:
		lines = append([]string{fmt.Sprintf("%d faults, and nothing was changed:", len(lines))}, lines...)
	}
	return &locatedError{strings.Join(lines, "\n"), err}
}

// locatedError is an error with where in a file it is.
type locatedError struct {
	text string
	err  error
}

func (l *locatedError) Error() string { return l.text }
func (l *locatedError) Unwrap() error { return l.err }
