package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
)

// console writes lines into the kernel's log, which shows them on every console, the
// serial line among them, in order with its own.
type console struct {
	mu     sync.Mutex
	kernel io.Writer
}

// longest is what the kernel takes in one piece, in bytes, with room for its own.
const longest = 900

// level of a notice: the command line lets the kernel's consoles show what is as
// important as that.
const asNotice = "<5>"

func (c *console) Write(line []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := bytes.TrimRight(line, "\n")
	if len(text) > longest {
		text = append(text[:longest-3:longest-3], "..."...)
	}
	if _, err := c.kernel.Write(fmt.Appendf(nil, "%smetalpool: %s\n", asNotice, text)); err != nil {
		_, _ = fmt.Fprintf(os.Stdout, "metalpool: %s\n", text)
	}
	return len(line), nil
}

// newLog writes to the consoles. The kernel adds the time.
func newLog() *slog.Logger {
	kernel, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	c := &console{kernel: kernel}
	if err != nil {
		c.kernel = os.Stdout
	}
	return slog.New(slog.NewTextHandler(c, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey && a.Value.Any() == slog.LevelInfo) {
			return slog.Attr{}
		}
		return a
	}}))
}
