// Package host runs plugins: executables that speak core/plugin/wire. Each runs by itself,
// for one piece of work, and what goes wrong in it goes wrong for that work alone.
package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/plugin/wire"
)

// Executable is the file name of a plugin.
func Executable(kind wire.Kind, name string) string {
	return "metalpool-" + string(kind) + "-" + name
}

// Find looks a plugin up in folders, the first of which that has it counts. It is
// NotFound where none has, and Denied where others than this user and root could change
// what is run.
func Find(folders []string, kind wire.Kind, name string) (path string, err error) {
	file := Executable(kind, name)
	for _, folder := range folders {
		if !filepath.IsAbs(folder) {
			continue // it would depend on where a command was started
		}
		at := filepath.Join(folder, file)
		path, err := filepath.EvalSymlinks(at)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = unchangeable(at) // a link of somebody's would choose what is run
		}
		if err == nil {
			err = trusted(path)
		}
		if err != nil {
			hint := "whoever could change it could do what metalpool does; see 'metalpool help plugins'"
			if errors.Is(err, errNoProgram) {
				hint = "build it there, or make it executable (chmod +x); see 'metalpool help plugins'"
			}
			return "", &core.Error{Op: "find plugin " + name, Kind: core.Denied, Err: err, Hint: hint}
		}
		return path, nil
	}
	return "", &core.Error{Op: "find plugin " + name, Kind: core.NotFound, Err: fmt.Errorf("there is no %s in %s", file, strings.Join(folders, ", ")),
		Hint: "install it there, on each host that works on the pool, or name its folder with METALPOOL_PLUGINS"}
}

var errNoProgram = errors.New("is no executable file")

// trusted refuses an executable that somebody else could change, by itself or by a
// folder that it is in.
func trusted(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return fmt.Errorf("%s %w", path, errNoProgram)
	}
	return unchangeable(path)
}

// unchangeable refuses a path at which somebody else could put another file.
func unchangeable(path string) error {
	for {
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if why := open(info, os.Getuid()); why != "" {
			return fmt.Errorf("%s %s", path, why)
		}
		above := filepath.Dir(path)
		if above == path {
			return nil
		}
		path = above
	}
}

// open says how others than root and a user can change a file; "" where they cannot.
// In a folder that is sticky, as /tmp, nobody changes what is another's.
func open(info fs.FileInfo, user int) string {
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	switch {
	case owner != 0 && owner != user:
		return fmt.Sprintf("belongs to user %d, who is neither root nor who runs metalpool", owner)
	case info.Mode()&fs.ModeSymlink != 0: // its mode says nothing
	case info.Mode().Perm()&0o022 != 0 && (!info.IsDir() || info.Mode()&fs.ModeSticky == 0):
		return fmt.Sprintf("can be written by others (its mode is %o): chmod go-w", info.Mode().Perm())
	}
	return ""
}
