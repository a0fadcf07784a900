package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
)

// console is where the log goes: line by line into the kernel's own, which shows them
// on every console, the serial one among them, in order with what the kernel says.
type console struct {
	mu     *sync.Mutex
	kernel io.Writer
	// fields puts the attributes of a record into text.
	fields slog.Handler
	text   *bytes.Buffer
}

// newLog writes to the consoles.
func newLog() *slog.Logger {
	kernel, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return slog.New(newConsole(os.Stdout))
	}
	return slog.New(newConsole(kernel))
}

func newConsole(kernel io.Writer) *console {
	text := &bytes.Buffer{}
	return &console{mu: &sync.Mutex{}, kernel: kernel, text: text, fields: slog.NewTextHandler(text, &slog.HandlerOptions{ReplaceAttr: dropKnown})}
}

// dropKnown leaves out what the line says already, or what whoever reads this
// machine's console knows.
func dropKnown(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 {
		switch a.Key {
		case slog.TimeKey, slog.LevelKey, slog.MessageKey, "node", "boot":
			return slog.Attr{}
		}
	}
	return a
}

// longest is what the kernel takes in one piece, in bytes, with room for its own.
const longest = 900

// asNotice is the level that our lines have for the kernel. Its command line lets the
// consoles show what is as important as that.
const asNotice = "<5>"

// Handle implements slog.Handler.
func (c *console) Handle(ctx context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Reset()
	c.text.WriteString(asNotice + "metalpool: ")
	if r.Level >= slog.LevelWarn {
		fmt.Fprintf(c.text, "%s: ", r.Level)
	}
	c.text.WriteString(strings.ReplaceAll(r.Message, "\n", " ") + " ")
	if err := c.fields.Handle(ctx, r); err != nil {
		return err
	}
	line := bytes.TrimSpace(c.text.Bytes())
	if len(line) > longest {
		line = append(line[:longest-3], "..."...)
	}
	_, err := c.kernel.Write(append(line, '\n'))
	return err
}

// Enabled implements slog.Handler.
func (c *console) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// WithAttrs implements slog.Handler.
func (c *console) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *c
	with.fields = c.fields.WithAttrs(attrs)
	return &with
}

// WithGroup implements slog.Handler.
func (c *console) WithGroup(name string) slog.Handler {
	with := *c
	with.fields = c.fields.WithGroup(name)
	return &with
}
