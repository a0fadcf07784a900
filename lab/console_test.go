package lab

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, c *console, text string) {
	t.Helper()
	if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(text), err)
	}
}

func TestConsoleReaders(t *testing.T) {
	var c console
	write(t, &c, "before ")
	recent, live, stop := c.read()
	write(t, &c, "after")
	stop()
	stop()
	write(t, &c, " never")
	var got []byte
	for chunk := range live {
		got = append(got, chunk...)
	}
	if string(recent) != "before " || string(got) != "after" {
		t.Errorf("recent %q, then %q", recent, got)
	}
}

func TestConsoleCutsOffWhoDoesNotRead(t *testing.T) {
	var c console
	_, idle, stopIdle := c.read()
	defer stopIdle()
	for range consoleLag + 1 {
		write(t, &c, "x")
	}
	n := 0
	for range idle { // ends, since the channel was closed
		n++
	}
	if n != consoleLag {
		t.Errorf("the idle reader got %d chunks; want %d", n, consoleLag)
	}
	recent, _, stop := c.read()
	defer stop()
	if len(recent) != consoleLag+1 {
		t.Errorf("the next reader is given %d bytes; want all %d", len(recent), consoleLag+1)
	}
}

func TestConsoleIsBoundedAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console.log")
	c, err := openConsole(path)
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("a", 1023) + "\n"
	for range 3 * consoleFile / len(line) {
		write(t, c, line)
	}
	write(t, c, "the end\n")
	_, live, stop := c.read()
	defer stop()
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	if _, open := <-live; open {
		t.Error("a reader outlives the console")
	}
	for _, name := range []string{path, path + ".1"} {
		if info, err := os.Stat(name); err != nil || info.Size() > consoleFile || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if c, err = openConsole(path); err != nil {
		t.Fatal(err)
	}
	recent, _, stop := c.read()
	defer stop()
	if len(recent) != consoleRecent || !bytes.HasSuffix(recent, []byte("a\nthe end\n")) {
		t.Errorf("after a restart %d bytes are there, with %q at their end", len(recent), recent[max(0, len(recent)-20):])
	}
	write(t, c, "again\n")
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !bytes.HasSuffix(text, []byte("the end\nagain\n")) {
		t.Errorf("the file ends with %q, %v", text[max(0, len(text)-20):], err)
	}
}
