package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// lock takes a file's lock, which ends with its holder, and waits for it. The lock
// is between all holders, whether in this process or another.
func lock(ctx context.Context, name string) (unlock func(), err error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		unlock, err := tryLock(name)
		if err != nil || unlock != nil {
			return unlock, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// tryLock returns nil where another holds the lock.
func tryLock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil {
		return func() { _ = f.Close() }, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("lock %s: %w", name, err)
}

const holderName = "holder"

// workFolder makes a folder for work under way, and removes those of holders that
// died. remove ends it.
func workFolder(ctx context.Context, parent string) (dir string, remove func(), err error) {
	// Nobody is between making a folder and locking it while another sweeps.
	unlock, err := lock(ctx, filepath.Join(parent, holderName))
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	entries, err := os.ReadDir(parent)
	if err != nil {
		return "", nil, err
	}
	for _, e := range entries {
		if old := filepath.Join(parent, e.Name()); e.IsDir() {
			if release, err := tryLock(filepath.Join(old, holderName)); err == nil && release != nil {
				_ = os.RemoveAll(old) // what is left of it is swept next time
				release()
			}
		}
	}
	if dir, err = os.MkdirTemp(parent, ""); err != nil {
		return "", nil, err
	}
	release, err := lock(ctx, filepath.Join(dir, holderName))
	if err != nil {
		return "", nil, err
	}
	return dir, func() {
		_ = os.RemoveAll(dir) // what is left of it is swept by the next
		release()
	}, nil
}
