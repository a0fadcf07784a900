// metalpool-step-hosts keeps machines in a file of names and addresses, as /etc/hosts is.
// docs/plugins.md tells how it is built and declared.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core/plugin"
)

// config is what a step says under config.
type config struct {
	File   string `json:"file"`
	Domain string `json:"domain"`
}

func main() {
	plugin.Serve(plugin.Step[config]{Validate: validate, Check: check, Run: run})
}

func validate(c config) error {
	if !filepath.IsAbs(c.File) {
		return errors.New("file: say which, by its whole path")
	}
	return nil
}

// line is a machine's in the file.
func line(t plugin.Try[config]) string {
	m := t.Facts.Machine
	return fmt.Sprintf("%s %s.%s # %s", m.Address, m.Name, t.Config.Domain, m.ID)
}

func check(_ context.Context, t plugin.Try[config]) (met bool, err error) {
	text, err := os.ReadFile(t.Config.File)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return slices.Contains(strings.Split(string(text), "\n"), line(t)), err
}

func run(_ context.Context, t plugin.Try[config]) error {
	unlock, err := lock(t.Config.File)
	if err != nil {
		return plugin.Permanent(err)
	}
	defer unlock()
	text, err := os.ReadFile(t.Config.File)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// What another machine at this address has left is not true any more.
	stale := func(l string) bool { return l == "" || strings.HasPrefix(l, t.Facts.Machine.Address+" ") }
	lines := append(slices.DeleteFunc(strings.Split(string(text), "\n"), stale), line(t), "")
	if err := os.WriteFile(t.Config.File+".new", []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		return err
	}
	t.Logf("%s is in %s", t.Facts.Machine.Name, t.Config.File)
	return os.Rename(t.Config.File+".new", t.Config.File)
}

// lock keeps other machines' plugins from the file: each runs by itself, and several at once.
func lock(file string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	unlock = func() { _ = f.Close() }
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}
