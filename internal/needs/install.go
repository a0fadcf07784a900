package needs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// install installs the Debian package pkg. Test processes run side by side and
// apt-get does not wait for the lock on its lists, so they take turns.
func install(t testing.TB, pkg string) error {
	if os.Getuid() != 0 {
		return errors.New("only root can install it; run: sudo apt-get install " + pkg)
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil {
		return errors.New("there is no apt-get to install it with")
	}
	unlock, err := lock(filepath.Join(os.TempDir(), "metalpool-apt.lock"))
	if err != nil {
		return err
	}
	defer unlock()

	args := []string{"install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", pkg}
	if run(t.Context(), apt, args...) == nil {
		return nil
	}
	// A fresh image holds no lists of packages.
	if err := run(t.Context(), apt, "update"); err != nil {
		return err
	}
	return run(t.Context(), apt, args...)
}

func run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, lastLine(out))
	}
	return nil
}

func lastLine(out []byte) string {
	text := strings.TrimSpace(string(out))
	return text[strings.LastIndexByte(text, '\n')+1:]
}

func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		// The signals with which the runtime preempts goroutines interrupt it.
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() { _ = f.Close() }, nil
}

// output runs a program in dir and returns what it writes to its standard output.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(name), err, lastLine(said.Bytes()))
	}
	return string(out), nil
}
