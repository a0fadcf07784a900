package lab

import (
	"errors"
	"io"
	"os"
	"slices"
	"sync"
)

const (
	consoleRecent = 64 << 10 // bytes of a console that a new reader is given
	consoleFile   = 1 << 20  // bytes of one of the two files that keep it
	consoleLag    = 256      // chunks that a reader may fall behind
)

// console is what a machine wrote to its serial port: the end of it in memory, more
// of it in a file and the one before, and whoever reads along. The zero value keeps
// no file. It is safe for concurrent use.
type console struct {
	path string

	mu      sync.Mutex
	recent  []byte
	file    *os.File // open from the first write to close
	size    int64    // of file
	readers map[chan []byte]struct{}
}

// openConsole goes on with what the file at path holds.
func openConsole(path string) (*console, error) {
	c := &console{path: path}
	for _, name := range []string{c.older(), path} {
		text, err := tail(name, consoleRecent)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		c.remember(text)
	}
	return c, nil
}

func (c *console) older() string { return c.path + ".1" }

func tail(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-most), most))
}

// remember adds to what new readers are given. The caller holds mu, or is alone.
func (c *console) remember(p []byte) {
	c.recent = append(c.recent, p...)
	// At twice the size, so that not every byte moves the rest.
	if len(c.recent) > 2*consoleRecent {
		c.recent = slices.Clone(c.recent[len(c.recent)-consoleRecent:])
	}
}

// Write adds what the machine wrote. A reader that has fallen too far behind is cut
// off rather than waited for. The error is that of the file; readers got their part.
func (c *console) Write(p []byte) (int, error) {
	chunk := slices.Clone(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remember(chunk)
	for r := range c.readers {
		select {
		case r <- chunk:
		default:
			c.drop(r)
		}
	}
	if c.path == "" {
		return len(p), nil
	}
	if err := c.keep(chunk); err != nil {
		return 0, err
	}
	return len(p), nil
}

// keep writes to the file; a full one becomes the one before.
func (c *console) keep(p []byte) error {
	if c.file != nil && c.size+int64(len(p)) > consoleFile {
		err := c.file.Close()
		c.file = nil
		if err = errors.Join(err, os.Rename(c.path, c.older())); err != nil {
			return err
		}
	}
	if c.file == nil {
		f, err := os.OpenFile(c.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		c.file, c.size = f, info.Size()
	}
	n, err := c.file.Write(p)
	c.size += int64(n)
	return err
}

// read begins to read along; see Node.Console.
func (c *console) read() (recent []byte, live <-chan []byte, stop func()) {
	r := make(chan []byte, consoleLag)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.readers == nil {
		c.readers = map[chan []byte]struct{}{}
	}
	c.readers[r] = struct{}{}
	recent = slices.Clone(c.recent[max(0, len(c.recent)-consoleRecent):])
	return recent, r, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.drop(r)
	}
}

// drop ends a reader, once. The caller holds mu.
func (c *console) drop(r chan []byte) {
	if _, reads := c.readers[r]; reads {
		delete(c.readers, r)
		close(r)
	}
}

// close ends all readers and the file. A later Write opens it again.
func (c *console) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for r := range c.readers {
		c.drop(r)
	}
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	return err
}

// Console is the machine's serial console: the end of what it wrote, at most 64 KiB
// and also before the lab was started anew, and from there on what it writes. live is
// closed by stop, when the lab ends, and when the reader falls too far behind; its
// chunks are shared and not to be changed. stop may be called more than once.
//
// A simulated node writes what it is doing, line by line.
func (n *Node) Console() (recent []byte, live <-chan []byte, stop func()) { return n.console.read() }
