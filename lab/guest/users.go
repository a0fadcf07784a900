package guest

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/metalpool/metalpool/lab/guest/vfs"
)

// account is a line of /etc/passwd.
type account struct {
	name, home, shell string
	uid, gid          int
}

func (g *Guest) accounts() []account {
	passwd, err := g.Files().ReadFile("/etc/passwd")
	if err != nil {
		return nil
	}
	var list []account
	for line := range strings.Lines(string(passwd)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 7 {
			continue
		}
		uid, errUID := strconv.Atoi(f[2])
		gid, errGID := strconv.Atoi(f[3])
		if errUID == nil && errGID == nil {
			list = append(list, account{name: f[0], uid: uid, gid: gid, home: f[5], shell: f[6]})
		}
	}
	return list
}

func (g *Guest) account(name string) (account, bool) {
	list := g.accounts()
	i := slices.IndexFunc(list, func(a account) bool { return a.name == name })
	if i < 0 {
		return account{}, false
	}
	return list[i], true
}

// userName is the name of a user ID, or its number.
func (g *Guest) userName(uid int) string {
	for _, a := range g.accounts() {
		if a.uid == uid {
			return a.name
		}
	}
	return strconv.Itoa(uid)
}

// groupName is the name of a group ID. Every user has a group of their own.
func (g *Guest) groupName(gid int) string {
	group, _ := g.Files().ReadFile("/etc/group")
	for line := range strings.Lines(string(group)) {
		if f := strings.Split(line, ":"); len(f) >= 3 && f[2] == strconv.Itoa(gid) {
			return f[0]
		}
	}
	return strconv.Itoa(gid)
}

func (g *Guest) view(a account) vfs.View { return g.tree.As(a.uid, a.gid) }

// sudoers is the one file that says who may use sudo, one name per line.
const sudoers = "/etc/sudoers.d/90-cloud-init-users"

func (g *Guest) maySudo(uid int) bool {
	if uid == 0 {
		return true
	}
	text, _ := g.Files().ReadFile(sudoers)
	name := g.userName(uid)
	for line := range strings.Lines(string(text)) {
		if first, _, _ := strings.Cut(line, " "); first == name {
			return true
		}
	}
	return false
}

// addUser makes an account that is not there yet, with its home and group.
func (g *Guest) addUser(name, home, shell string, sudo []string) (account, error) {
	if a, found := g.account(name); found {
		return a, nil
	}
	if name == "" || strings.ContainsAny(name, ":/\n ") {
		return account{}, fmt.Errorf("%q is not a user's name", name)
	}
	root := g.Files()
	uid := 1000
	for _, a := range g.accounts() {
		if a.uid >= uid && a.uid < 60000 {
			uid = a.uid + 1
		}
	}
	a := account{name: name, uid: uid, gid: uid, home: home, shell: shell}
	if a.home == "" {
		a.home = path.Join("/home", name)
	}
	if a.shell == "" {
		a.shell = "/bin/bash"
	}
	if err := g.appendLine("/etc/passwd", fmt.Sprintf("%s:x:%d:%d::%s:%s", name, uid, uid, a.home, a.shell), 0o644); err != nil {
		return a, err
	}
	if err := g.appendLine("/etc/group", fmt.Sprintf("%s:x:%d:", name, uid), 0o644); err != nil {
		return a, err
	}
	for _, rule := range sudo {
		if err := g.appendLine(sudoers, name+" "+rule, 0o440); err != nil {
			return a, err
		}
	}
	if err := root.MkdirAll(a.home, 0o755); err != nil {
		return a, err
	}
	return a, root.Chown(a.home, uid, uid)
}

// authorize adds public keys to those that may log in as a.
func (g *Guest) authorize(a account, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	root, dir := g.Files(), path.Join(a.home, ".ssh")
	if err := root.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := root.Chown(dir, a.uid, a.gid); err != nil {
		return err
	}
	file := path.Join(dir, "authorized_keys")
	have, _ := root.ReadFile(file)
	lines := strings.Split(strings.TrimSuffix(string(have), "\n"), "\n")
	for _, key := range keys {
		if key = strings.TrimSpace(key); key != "" && !slices.Contains(lines, key) {
			if err := g.appendLine(file, key, 0o600); err != nil {
				return err
			}
			lines = append(lines, key)
		}
	}
	return root.Chown(file, a.uid, a.gid)
}
