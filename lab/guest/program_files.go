package guest

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/metalpool/metalpool/lab/guest/shell"
	"github.com/metalpool/metalpool/lab/guest/vfs"
)

var filePrograms = map[string]program{
	"ls": ls, "mkdir": mkdir, "rmdir": rmdir, "rm": rm, "mv": mv, "cp": cp, "ln": ln, "touch": touch,
	"chmod": chmod, "chown": chown, "readlink": readlink, "stat": stat, "mktemp": mktemp,
	"basename": func(c call, args []string) int { return c.onName(args, path.Base) },
	"dirname":  func(c call, args []string) int { return c.onName(args, path.Dir) },
}

func (c call) onName(args []string, of func(string) string) int {
	if len(args) == 0 {
		return c.complain("missing operand")
	}
	c.printf("%s\n", of(args[0]))
	return 0
}

// each does something with every operand, and complains of those where it fails.
func (c call) each(args []string, what string, do func(name string) error) int {
	if len(args) == 0 {
		return c.complain("missing operand")
	}
	status := 0
	for _, arg := range args {
		if c.failed(what, arg, do(c.Path(arg))) {
			status = 1
		}
	}
	return status
}

func (c call) unknown(option string) int {
	c.complain("%s is not an option that the lab knows", option)
	return 2
}

func ls(c call, args []string) int {
	set, rest, bad := options(args, "alhdA1tr", "", map[string]byte{"all": 'a'})
	if bad != "" {
		return c.unknown(bad)
	}
	if len(rest) == 0 {
		rest = []string{"."}
	}
	status := 0
	for i, arg := range rest {
		info, err := c.Files.Stat(c.Path(arg))
		if err != nil {
			info, err = c.Files.Lstat(c.Path(arg))
		}
		if c.failed("cannot access ", arg, err) {
			status = 2
			continue
		}
		if !info.IsDir() || has(set, 'd') {
			c.list(set, arg, info)
			continue
		}
		entries, err := c.Files.ReadDir(c.Path(arg))
		if c.failed("cannot open directory ", arg, err) {
			status = 2
			continue
		}
		if len(rest) > 1 {
			c.printf("%s%s:\n", strings.Repeat("\n", min(i, 1)), arg)
		}
		if has(set, 'a') {
			c.list(set, ".", info)
			if parent, err := c.Files.Stat(path.Dir(path.Clean(c.Path(arg)))); err == nil {
				c.list(set, "..", parent)
			}
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") && !has(set, 'a') && !has(set, 'A') {
				continue
			}
			if entry, err := c.Files.Lstat(path.Join(c.Path(arg), e.Name())); err == nil {
				c.list(set, e.Name(), entry)
			}
		}
	}
	return status
}

// list prints one line of ls.
func (c call) list(set map[byte]string, name string, info vfs.Info) {
	if !has(set, 'l') {
		c.printf("%s\n", name)
		return
	}
	mode := info.Mode().String()
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		mode = "l" + mode[len(mode)-9:]
		if target, err := c.Files.Readlink(c.Path(name)); err == nil {
			name += " -> " + target
		}
	case info.Mode()&fs.ModeDevice != 0:
		mode = "c" + mode[len(mode)-9:]
	case info.Mode()&fs.ModeSticky != 0:
		mode = "d" + mode[len(mode)-9:len(mode)-1] + "t"
	}
	c.printf("%s 1 %s %s %d %s %s\n", mode, c.g.userName(info.UID()), c.g.groupName(info.GID()), info.Size(), info.ModTime().UTC().Format("Jan _2 15:04"), name)
}

func mkdir(c call, args []string) int {
	set, rest, bad := options(args, "pv", "m", map[string]byte{"parents": 'p'})
	if bad != "" {
		return c.unknown(bad)
	}
	mode, err := strconv.ParseUint(cmp.Or(set['m'], "755"), 8, 32)
	if err != nil {
		return c.complain("invalid mode '%s'", set['m'])
	}
	return c.each(rest, "cannot create directory ", func(name string) error {
		if has(set, 'p') {
			return c.Files.MkdirAll(name, fs.FileMode(mode))
		}
		return c.Files.Mkdir(name, fs.FileMode(mode))
	})
}

func rmdir(c call, args []string) int {
	return c.each(args, "failed to remove ", func(name string) error {
		if info, err := c.Files.Lstat(name); err == nil && !info.IsDir() {
			return fmt.Errorf("not a directory")
		}
		return c.Files.Remove(name)
	})
}

func rm(c call, args []string) int {
	set, rest, bad := options(args, "rRfv", "", map[string]byte{"recursive": 'r', "force": 'f'})
	if bad != "" {
		return c.unknown(bad)
	}
	if len(rest) == 0 && has(set, 'f') {
		return 0
	}
	return c.each(rest, "cannot remove ", func(name string) error {
		info, err := c.Files.Lstat(name)
		switch {
		case err != nil && has(set, 'f'):
			return nil
		case err != nil:
			return err
		case has(set, 'r') || has(set, 'R'):
			return c.Files.RemoveAll(name)
		case info.IsDir():
			return fmt.Errorf("is a directory")
		}
		return c.Files.Remove(name)
	})
}

// target is where a file ends up: below to if that is a directory.
func (c call) target(to, from string) string {
	if info, err := c.Files.Stat(c.Path(to)); err == nil && info.IsDir() {
		return path.Join(c.Path(to), path.Base(from))
	}
	return c.Path(to)
}

// intoLast does something with each operand and the last one.
func (c call) intoLast(rest []string, what string, do func(from, to string) error) int {
	if len(rest) < 2 {
		return c.complain("missing destination file operand")
	}
	sources, to := rest[:len(rest)-1], rest[len(rest)-1]
	if len(sources) > 1 {
		if info, err := c.Files.Stat(c.Path(to)); err != nil || !info.IsDir() {
			return c.complain("target '%s' is not a directory", to)
		}
	}
	return c.each(sources, what, func(from string) error { return do(from, c.target(to, from)) })
}

func mv(c call, args []string) int {
	_, rest, bad := options(args, "fvnT", "", nil)
	if bad != "" {
		return c.unknown(bad)
	}
	return c.intoLast(rest, "cannot move ", c.Files.Rename)
}

func cp(c call, args []string) int {
	set, rest, bad := options(args, "rRafpv", "", map[string]byte{"recursive": 'r'})
	if bad != "" {
		return c.unknown(bad)
	}
	deep := has(set, 'r') || has(set, 'R') || has(set, 'a')
	return c.intoLast(rest, "cannot copy ", func(from, to string) error { return c.copy(from, to, deep, 0) })
}

func (c call) copy(from, to string, deep bool, depth int) error {
	info, err := c.Files.Stat(from)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		data, err := c.Files.ReadFile(from)
		if err != nil {
			return err
		}
		return c.Files.WriteFile(to, data, info.Mode())
	}
	if !deep || depth > maxDepth || strings.HasPrefix(path.Clean(to)+"/", path.Clean(from)+"/") {
		return fmt.Errorf("omitting directory")
	}
	if err := c.Files.MkdirAll(to, info.Mode()); err != nil {
		return err
	}
	entries, err := c.Files.ReadDir(from)
	for _, e := range entries {
		if err == nil {
			err = c.copy(path.Join(from, e.Name()), path.Join(to, e.Name()), deep, depth+1)
		}
	}
	return err
}

func ln(c call, args []string) int {
	set, rest, bad := options(args, "sfnv", "", map[string]byte{"symbolic": 's', "force": 'f'})
	if bad != "" {
		return c.unknown(bad)
	}
	if !has(set, 's') {
		return c.complain("only symbolic links (-s) exist on the lab's machines")
	}
	if len(rest) != 2 {
		return c.complain("missing file operand")
	}
	at := c.target(rest[1], rest[0])
	if has(set, 'f') {
		if info, err := c.Files.Lstat(at); err == nil && !info.IsDir() {
			if c.failed("cannot remove ", rest[1], c.Files.Remove(at)) {
				return 1
			}
		}
	}
	if c.failed("failed to create symbolic link ", rest[1], c.Files.Symlink(rest[0], at)) {
		return 1
	}
	return 0
}

func touch(c call, args []string) int {
	_, rest, bad := options(args, "acm", "", nil)
	if bad != "" {
		return c.unknown(bad)
	}
	return c.each(rest, "cannot touch ", func(name string) error {
		if _, err := c.Files.Stat(name); err == nil {
			return c.Files.Chtimes(name, c.g.config.Now())
		}
		return c.Files.WriteFile(name, nil, 0o644)
	})
}

func readlink(c call, args []string) int {
	set, rest, bad := options(args, "fen", "", nil)
	if bad != "" || len(rest) != 1 {
		return c.unknown(cmp.Or(bad, "no operand"))
	}
	at, err := c.Files.Real(c.Path(rest[0]))
	if !has(set, 'f') && !has(set, 'e') {
		at, err = c.Files.Readlink(c.Path(rest[0]))
	}
	if err != nil {
		return 1
	}
	c.printf("%s\n", at)
	return 0
}

func mktemp(c call, args []string) int {
	set, _, bad := options(args, "dq", "", nil)
	if bad != "" {
		return c.unknown(bad)
	}
	for n := range 10000 {
		name := fmt.Sprintf("/tmp/tmp.%04d", n)
		if _, err := c.Files.Lstat(name); err == nil {
			continue
		}
		var err error
		if has(set, 'd') {
			err = c.Files.Mkdir(name, 0o700)
		} else {
			err = c.Files.WriteFile(name, nil, 0o600)
		}
		if err != nil {
			return c.complain("%s", shell.Reason(err))
		}
		c.printf("%s\n", name)
		return 0
	}
	return c.complain("too many files")
}

// inputs opens what a filter reads: its operands, or the standard input.
func (c call) inputs(names []string, read func(name string, r io.Reader) error) int {
	if len(names) == 0 {
		names = []string{"-"}
	}
	status := 0
	for _, name := range names {
		if name == "-" {
			if read("(standard input)", c.In) != nil {
				return 1
			}
			continue
		}
		info, err := c.Files.Stat(c.Path(name))
		if err == nil && info.IsDir() {
			err = fmt.Errorf("is a directory")
		}
		var f *vfs.File
		if err == nil {
			f, err = c.Files.Open(c.Path(name), 0, 0)
		}
		if err != nil {
			status = c.complain("%s: %s", name, shell.Reason(err))
			continue
		}
		if read(name, f) != nil {
			return 1
		}
		f.Close()
	}
	return status
}
