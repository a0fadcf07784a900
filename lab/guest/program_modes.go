package guest

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/metalpool/metalpool/lab/guest/vfs"
)

func chmod(c call, args []string) int {
	set, rest, bad := options(args, "Rvf", "", map[string]byte{"recursive": 'R'})
	if len(rest) == 0 && bad != "" && len(args) > 1 { // chmod -x file
		rest, bad = args, ""
	}
	if bad != "" {
		return c.unknown(bad)
	}
	if len(rest) < 2 {
		return c.complain("missing operand")
	}
	return c.each(rest[1:], "cannot change the mode of ", func(name string) error {
		return c.tree(name, has(set, 'R'), func(name string, info vfs.Info) error {
			mode, err := newMode(info.Mode(), rest[0])
			if err != nil {
				return err
			}
			return c.Files.Chmod(name, mode)
		})
	})
}

// tree does something with a file and, if deep, with all below it.
func (c call) tree(name string, deep bool, do func(name string, info vfs.Info) error) error {
	info, err := c.Files.Stat(name)
	if err != nil {
		return err
	}
	if err := do(name, info); err != nil || !deep || !info.IsDir() {
		return err
	}
	entries, err := c.Files.ReadDir(name)
	for _, e := range entries {
		if err == nil && e.Type()&fs.ModeSymlink == 0 {
			err = c.tree(path.Join(name, e.Name()), deep, do)
		}
	}
	return err
}

// newMode is a mode after a change in octal or as in u+x,go-w.
func newMode(old fs.FileMode, change string) (fs.FileMode, error) {
	if n, err := strconv.ParseUint(change, 8, 12); err == nil {
		mode := fs.FileMode(n & 0o777)
		for bit, flag := range map[uint64]fs.FileMode{0o1000: fs.ModeSticky, 0o2000: fs.ModeSetgid, 0o4000: fs.ModeSetuid} {
			if n&bit != 0 {
				mode |= flag
			}
		}
		return mode, nil
	}
	mode := old
	for _, clause := range strings.Split(change, ",") {
		at := strings.IndexAny(clause, "+-=")
		if at < 0 {
			return 0, fmt.Errorf("invalid mode: %s", change)
		}
		var who, bits fs.FileMode
		for _, u := range cmp.Or(clause[:at], "a") {
			who |= map[rune]fs.FileMode{'u': 0o700, 'g': 0o070, 'o': 0o007, 'a': 0o777}[u]
		}
		for _, r := range clause[at+1:] {
			bits |= map[rune]fs.FileMode{'r': 0o444, 'w': 0o222, 'x': 0o111, 'X': 0o111}[r]
		}
		switch clause[at] {
		case '+':
			mode |= who & bits
		case '-':
			mode &^= who & bits
		default:
			mode = mode&^who | who&bits
		}
	}
	return mode, nil
}

func chown(c call, args []string) int {
	set, rest, bad := options(args, "Rvfh", "", map[string]byte{"recursive": 'R'})
	if bad != "" {
		return c.unknown(bad)
	}
	if len(rest) < 2 {
		return c.complain("missing operand")
	}
	user, group, _ := strings.Cut(rest[0], ":")
	uid, gid := -1, -1
	for name, id := range map[string]*int{user: &uid, group: &gid} {
		if name == "" {
			continue
		}
		if n, err := strconv.Atoi(name); err == nil {
			*id = n
		} else if a, found := c.g.account(name); found {
			*id = a.uid
		} else {
			return c.complain("invalid user: '%s'", rest[0])
		}
	}
	return c.each(rest[1:], "changing ownership of ", func(name string) error {
		return c.tree(name, has(set, 'R'), func(name string, _ vfs.Info) error { return c.Files.Chown(name, uid, gid) })
	})
}

func stat(c call, args []string) int {
	set, rest, bad := options(args, "fL", "c", map[string]byte{"format": 'c', "file-system": 'f'})
	if bad != "" {
		return c.unknown(bad)
	}
	format := cmp.Or(set['c'], "%n %s %a %U %G")
	return c.each(rest, "cannot stat ", func(name string) error {
		info, err := c.Files.Stat(name)
		if err != nil {
			return err
		}
		if has(set, 'f') {
			c.printf("%s\n", strings.ReplaceAll(format, "%T", "ext2/ext3"))
			return nil
		}
		c.printf("%s\n", strings.NewReplacer("%n", name, "%s", strconv.FormatInt(info.Size(), 10),
			"%a", strconv.FormatUint(uint64(info.Mode().Perm()), 8), "%U", c.g.userName(info.UID()), "%G", c.g.groupName(info.GID()),
			"%u", strconv.Itoa(info.UID()), "%g", strconv.Itoa(info.GID()), "%Y", strconv.FormatInt(info.ModTime().Unix(), 10)).Replace(format))
		return nil
	})
}
