package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newTerminal is a terminal of that many columns, and who sits at it.
func newTerminal(t *testing.T, columns uint16) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: columns}); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return screen, terminal
}

// onTerminal runs one command line with its output on a terminal of that many columns, and
// returns the lines on it.
func onTerminal(t *testing.T, columns uint16, args ...string) []string {
	t.Helper()
	screen, terminal := newTerminal(t, columns)
	shown := make(chan []byte)
	go func() {
		text, _ := io.ReadAll(screen) // ends with EIO once nobody has the terminal any more
		shown <- text
	}()
	err := Run(t.Context(), args, strings.NewReader(""), terminal, io.Discard)
	terminal.Close()
	text := <-shown
	if err != nil {
		t.Fatalf("metalpool %s: %v", strings.Join(args, " "), err)
	}
	return strings.Split(strings.TrimRight(string(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))), "\n"), "\n")
}

// TestTerminals holds what is printed to what people see on terminals of some widths: no
// line is longer, and what one looks for is there to its end.
func TestTerminals(t *testing.T) {
	onFilledPool(t)
	t.Setenv("NO_COLOR", "1")
	needed := map[string][]string{
		"node-list":    {"NODE", "STATE", "and the next create asks it again", "insert media: backend: no media slot", "new memory", "ssh: timeout: not done within 20m"},
		"machine-list": {"MACHINE", "STATE", "m-web", "m-db", "ssh: timeout: not done within 20m"},
		"watch-once":   {"and the next create asks it again", "insert media: no answer", "suspect"},
		"node-events":  {"agent: timeout", "alice@desk/web-1", "Deploying → Deployed (done)"},
		"stats":        {"PowerEdge R670", "P50", "P95", "step bios"},
		"image-list":   {"https://images.example/debian.qcow2?…"},
		"pool-list":    {"AVAILABLE"},
	}
	for name, want := range needed {
		for _, columns := range []uint16{60, 80, 100, 160} {
			t.Run(fmt.Sprintf("%s-%d", name, columns), func(t *testing.T) {
				lines := onTerminal(t, columns, views[name]...)
				for _, line := range lines {
					if n := len([]rune(line)); n > int(columns) {
						t.Errorf("a line of %d characters on %d columns: %q", n, columns, line)
					}
				}
				text := strings.Join(lines, "\n") + "\n"
				spoken := strings.Join(strings.Fields(text), " ")
				for _, word := range want {
					if !strings.Contains(spoken, word) {
						t.Errorf("%q is not in\n%s", word, text)
					}
				}
				if columns == 80 || columns == 100 {
					golden(t, filepath.Join("terminal", fmt.Sprintf("%s-%d", name, columns)), text)
				}
			})
		}
	}
}

// What cannot be undone is asked for, and done where the answer is yes.
func TestAgreed(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, " Yes\n": true, "n\n": false, "\n": false, "yellow\n": false, "\x04": false} {
		screen, terminal := newTerminal(t, 80)
		if _, err := screen.WriteString(answer); err != nil {
			t.Fatal(err)
		}
		var asked bytes.Buffer
		err := (&app{in: terminal, err: &asked}).agreed("its root disk is written over", "All is lost.")
		terminal.Close()
		if (err == nil) != want || asked.String() != "All is lost. Go on? [y/N] " {
			t.Errorf("%q: %v; it asked %q", answer, err, asked.String())
		}
	}
}
