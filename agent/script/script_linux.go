// Package script runs scripts in the ramdisk.
package script

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/guard"
)

// Runner runs scripts by a shell.
type Runner struct {
	Shell []string // how it is called: busybox sh
	Dir   string   // where each script gets a folder of its own, for as long as it runs
	Path  string   // PATH of scripts
	// Grace is how long a script that is to end may take for that; 0: 10 seconds.
	Grace time.Duration
}

const (
	usualGrace = 10 * time.Second
	// lastWords is how long output is waited for after the script has ended: what of it the
	// kernel does not let go of may hold it open for ever.
	lastWords = time.Second
)

// keep runs the script's program and tells how it has ended, at a place that the program
// does not have. The first program in a ramdisk has its children buried by the kernel, so
// that it could not be asked.
const keep = `"$@" 3>&-; echo $? >&3`

// Run runs a script with the variables of its Env alone, and returns its exit status. What
// it began is ended when it has ended itself, or ctx is, in sessions of their own too: the
// next command is about the same disks.
func (r Runner) Run(ctx context.Context, s core.Script, output io.Writer) (status int, err error) {
	group, err := guard.New(r.Dir)
	if err != nil {
		return 0, err
	}
	defer group.End()
	folder := group.Dir
	program, err := r.prepare(folder, s)
	if err != nil {
		return 0, err
	}
	hears, says, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	ends, end, err := os.Pipe()
	if err != nil {
		return 0, errors.Join(err, hears.Close(), says.Close())
	}
	defer func() { _ = ends.Close() }()
	cmd := exec.Command(r.Shell[0], slices.Concat(r.Shell[1:], []string{"-c", keep, "sh"}, program)...) //nolint:noctx // it is ended with all that it began
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = folder, says, says, []*os.File{end}
	cmd.Env = []string{"PATH=" + r.Path, "HOME=" + folder}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		cmd.Env = append(cmd.Env, name+"="+s.Env[name])
	}
	err = group.Start(cmd)
	_, _ = says.Close(), end.Close()
	if err != nil {
		_ = hears.Close()
		return 0, err
	}
	said := listen(hears, output)
	told := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(ends) // an end without a word is one
		_, _ = cmd.Process.Wait()   // whatever it says: see keep
		told <- strings.TrimSpace(string(text))
	}()
	select {
	case text := <-told:
		said.finish()
		if status, err = strconv.Atoi(text); err != nil {
			return 0, errors.New("the script was killed by somebody else")
		}
		return status, nil
	case <-ctx.Done():
		_ = cmd.Process.Signal(syscall.SIGTERM) // all of its group is told
		select {
		case <-told:
		case <-time.After(cmp.Or(r.Grace, usualGrace)):
			group.End()
			<-told
		}
		said.finish()
		return 0, context.Cause(ctx)
	}
}

// prepare writes the script and its files, and returns how it is called.
func (r Runner) prepare(folder string, s core.Script) ([]string, error) {
	const name = ".run/script"
	if err := os.Mkdir(filepath.Join(folder, ".run"), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(folder, name), []byte(s.Text), 0o700); err != nil {
		return nil, err
	}
	for file, text := range s.Files {
		if filepath.Base(file) != file || file == "." || file == ".." {
			return nil, fmt.Errorf("%q cannot name a file", file)
		}
		if err := os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if strings.HasPrefix(s.Text, "#!") {
		return []string{"./" + name}, nil
	}
	return append(slices.Clone(r.Shell), name), nil
}

// ear passes on what a script says until that counts no more; the rest is heard and
// forgotten, so that whatever it has left in the background notices nothing.
type ear struct {
	mu     sync.Mutex
	to     io.Writer // nil: nobody
	silent chan struct{}
}

func listen(from io.ReadCloser, to io.Writer) *ear {
	e := &ear{to: to, silent: make(chan struct{})}
	go func() {
		_, _ = io.Copy(e, from)
		_ = from.Close()
		close(e.silent)
	}()
	return e
}

func (e *ear) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.to != nil {
		_, _ = e.to.Write(p)
	}
	return len(p), nil
}

// finish returns when nothing is passed on any more.
func (e *ear) finish() {
	select {
	case <-e.silent:
	case <-time.After(lastWords):
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.to = nil
}
