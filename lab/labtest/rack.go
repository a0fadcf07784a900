// Package labtest runs an adapter's program against a rack of the lab and a pool that
// owns it.
package labtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/internal/attached"
	"github.com/metalpool/metalpool/lab"
)

// Patience is far beyond what anything takes on simulated nodes and a busy machine.
const Patience = 3 * time.Minute

// Owner is whose machines the programs take.
const Owner = "e2e"

// Rack is a virtual rack, and a pool that may own it.
type Rack struct {
	Lab      *lab.Lab
	URL      string // of the pool
	Dir      string // with all of it, and for more
	Patience time.Duration
}

// Start starts a rack in dir, whose nodes nobody has enrolled, beside an empty pool. At
// the test's end nothing is left that works on it.
func Start(t testing.TB, dir string, c lab.Config) *Rack {
	t.Helper()
	r := &Rack{URL: filepath.Join(dir, "pool.db"), Dir: dir, Patience: Patience}
	c.Dir = filepath.Join(dir, "lab")
	var err error
	if r.Lab, err = lab.Up(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.end(t) })
	return r
}

// Settings is the environment of programs that use the pool, beside our own.
func (r *Rack) Settings() []string {
	return []string{"METALPOOL_URL=" + r.URL, "METALPOOL_OWNER=" + Owner, "GORACE=halt_on_error=1 log_path=" + filepath.Join(r.Dir, "race")}
}

// WriteImage makes enough of an image for simulated nodes.
func WriteImage(t testing.TB, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(lab.WriteImage(f), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// Image is a file as the catalogue has it.
func Image(name, path string) core.Image {
	return core.Image{Name: name, Source: path, Arch: "amd64", User: "debian"}
}

// Fill puts images into the catalogue, the first of which is the pool's default, enrolls
// the rack and cleans it.
func (r *Rack) Fill(t testing.TB, images ...core.Image) {
	t.Helper()
	e := r.Engine(t)
	ctx, cancel := context.WithTimeout(t.Context(), r.Patience)
	defer cancel()
	for _, image := range images {
		if _, err := e.AddImage(ctx, image, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.SetPool(ctx, core.Pool{Name: core.DefaultPool, DefaultImage: images[0].Name}); err != nil {
		t.Fatal(err)
	}
	for _, n := range r.Lab.Rack().Nodes {
		in := n.Enrollment()
		in.Erase = true
		if _, err := e.Enroll(ctx, in, nil); err != nil {
			t.Fatal(err)
		}
	}
	r.Settle(t)
}

// Engine opens the pool as its operator does.
func (r *Rack) Engine(t testing.TB) *core.Engine {
	t.Helper()
	e, err := open.Engine(t.Context(), r.URL, open.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// Settle waits until no node is at work and no worker is left that could go on.
func (r *Rack) Settle(t testing.TB) {
	t.Helper()
	e := r.Engine(t)
	ctx, cancel := context.WithTimeout(t.Context(), r.Patience)
	defer cancel()
	if _, err := e.Work(ctx); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(r.URL+".worker", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	for unix.Flock(int(lock.Fd()), unix.LOCK_EX) == unix.EINTR {
	}
}

// Await looks until a machine is as wanted.
func (r *Rack) Await(t testing.TB, name string, wanted func(core.Machine) bool) (core.Machine, error) {
	e := r.Engine(t)
	ctx, cancel := context.WithTimeout(t.Context(), r.Patience)
	defer cancel()
	for {
		m, err := e.MachineNamed(ctx, Owner, name)
		if err == nil && wanted(m) {
			return m, nil
		}
		if err != nil && !core.Is(err, core.NotFound) {
			return m, err
		}
		select {
		case <-ctx.Done():
			return m, fmt.Errorf("machine %s is still %s", name, m.State)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// end leaves nothing behind that works on the rack or in its folder.
func (r *Rack) end(t testing.TB) {
	attached.End(r.URL)
	if err := r.Lab.Close(); err != nil {
		t.Error(err)
	}
	reports, _ := filepath.Glob(filepath.Join(r.Dir, "race.*"))
	for _, report := range reports {
		text, err := os.ReadFile(report)
		t.Errorf("a program or worker has a race: %s, %v", text, err)
	}
}
