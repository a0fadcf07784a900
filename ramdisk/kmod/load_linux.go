package kmod

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// Loader loads modules of an index into the running kernel. It may be used by
// several goroutines: each module is loaded once, and who needs it waits for it.
type Loader struct {
	index *Index
	root  string

	mu     sync.Mutex
	loaded map[string]func() error
	loads  chan struct{} // bounds the modules that are in memory unpacked
}

// NewLoader finds the files below root.
func NewLoader(root string, index *Index) *Loader {
	return &Loader{index: index, root: root, loaded: map[string]func() error{}, loads: make(chan struct{}, 8)}
}

// OpenLoader reads the index that is below root.
func OpenLoader(root string) (*Loader, error) {
	f, err := os.Open(filepath.Join(root, IndexPath))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	index, err := ReadIndex(f)
	if err != nil {
		return nil, err
	}
	return NewLoader(root, index), nil
}

// Load loads the modules of those names and what they need. One that is not in the
// index is built into the kernel.
func (l *Loader) Load(names ...string) error {
	var errs []error
	for _, name := range names {
		for _, m := range l.index.Order(name) {
			if err := l.once(m)(); err != nil {
				errs = append(errs, err) // a soft dependency may be dispensable: go on
			}
		}
	}
	return errors.Join(errs...)
}

// LoadFor loads what drives the device with that modalias.
func (l *Loader) LoadFor(modalias string) error { return l.Load(l.index.For(modalias)...) }

func (l *Loader) once(m Module) func() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	load, ok := l.loaded[m.Name]
	if !ok {
		load = sync.OnceValue(func() error {
			l.loads <- struct{}{}
			defer func() { <-l.loads }()
			return l.insert(m)
		})
		l.loaded[m.Name] = load
	}
	return load
}

func (l *Loader) insert(m Module) error {
	image, err := unpack(filepath.Join(l.root, m.Path+Suffix))
	if err != nil {
		return fmt.Errorf("module %s: %w", m.Name, err)
	}
	// A driver may find that there is nothing for it, or that another has it.
	if err := unix.InitModule(image, ""); err != nil && !errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("module %s: %w", m.Name, err)
	}
	return nil
}

func unpack(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
