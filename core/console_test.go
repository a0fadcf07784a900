package core

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestConsoleFilter(t *testing.T) {
	for _, c := range []struct{ name, in, plain, terminal string }{
		{"lines", "one\r\ntwo\r\n", "one\ntwo\n", "one\r\ntwo\r\n"},
		{"lines of a bare system", "one\ntwo\n", "one\ntwo\n", "one\ntwo\n"},
		{"doubled returns", "one\r\r\ntwo", "one\ntwo", "one\r\r\ntwo"},
		{"printed over", "10%\r20%\r\n", "10%\n20%\n", "10%\r20%\r\n"},
		{"tab and backspace", "a\tb\bc", "a\tbc", "a\tb\bc"},
		{"colours", "\x1b[1;31mred\x1b[0m", "red", "\x1b[1;31mred\x1b[0m"},
		{"a screen that is drawn", "\x1b[2J\x1b[01;01HPress F2\x1b[02;01Hor Esc", "Press F2\nor Esc", "\x1b[2J\x1b[01;01HPress F2\x1b[02;01Hor Esc"},
		{"erased to the end", "one\x1b[K two", "one two", "one\x1b[K two"},
		{"a title", "\x1b]0;owned\x07text", "text", "text"},
		{"a title with a long end", "\x1b]0;owned\x1b\\text", "text", "text"},
		{"the clipboard", "\x1b]52;c;cm0gLXJm\x07text", "text", "text"},
		{"a device's string", "\x1bP$q\"p\x1b\\text", "text", "text"},
		{"a string with an escape in it", "\x1b]0;a\x1bb\x07text", "text", "text"},
		{"a string that another sequence breaks off", "\x1b]0;a\x1b[31mtext", "text", "\x1b[31mtext"},
		{"a string that is cancelled", "\x1b]0;a\x18text", "text", "text"},
		{"a string without end", "\x1bPnoise\r\nKernel panic\r\n", "\nKernel panic\n", "\nKernel panic\r\n"},
		{"a question that the terminal would answer", "\x1b[6n\x1b[ctext", "text", "text"},
		{"another screen", "\x1b[?1049htext\x1b[?1049l", "text", "text"},
		{"a mouse", "\x1b[?1000htext", "text", "text"},
		{"a private colour", "\x1b[>4;1mtext", "text", "text"},
		{"a cursor that is saved", "\x1b7text\x1b8", "text", "text"},
		{"a reset", "\x1bctext", "text", "text"},
		{"another character set", "\x1b(0text\x1b(B", "text", "text"},
		{"an escape in a sequence", "\x1b[1;\x1b[0mtext", "text", "\x1b[0mtext"},
		{"a sequence that is broken off", "\x1b[1;\ntext", "\ntext", "\ntext"},
		{"a sequence without end", "\x1b[" + strings.Repeat("1;", 100) + "mtext", "text", "text"},
		{"a bell and a null", "a\x07\x00b\x7f", "ab", "ab"},
		{"letters of any language", "Überprüfung ✓\n", "Überprüfung ✓\n", "Überprüfung ✓\n"},
		{"controls of eight bits", "a\x9b31mb", "a31mb", "a31mb"},
		{"the same in UTF-8", "a\u009b31mb", "a31mb", "a31mb"},
		{"broken UTF-8", "a\xc3(b\xff\xe2\x82c", "a(bc", "a(bc"},
		{"a character that is broken by a sequence", "\xe2\x82\x1b[31mred", "red", "\x1b[31mred"},
	} {
		for _, mode := range []struct {
			terminal bool
			want     string
		}{{false, c.plain}, {true, c.terminal}} {
			whole := ConsoleFilter{Terminal: mode.terminal}
			if got := string(whole.Clean(nil, []byte(c.in))); got != mode.want {
				t.Errorf("%s, terminal %t: %q, want %q", c.name, mode.terminal, got, mode.want)
			}
			bytewise := ConsoleFilter{Terminal: mode.terminal}
			var got []byte
			for i := range len(c.in) {
				got = bytewise.Clean(got, []byte{c.in[i]})
			}
			if string(got) != mode.want {
				t.Errorf("%s, terminal %t, byte by byte: %q, want %q", c.name, mode.terminal, got, mode.want)
			}
		}
	}
}

// FuzzConsoleFilter: whatever a server prints, no terminal is told more than to draw.
func FuzzConsoleFilter(f *testing.F) {
	f.Add([]byte("\x1b[2J\x1b[1;1Hx\x1b]0;t\x07\xc3\xbc\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		plain := string(new(ConsoleFilter).Clean(nil, in))
		if i := strings.IndexFunc(plain, func(r rune) bool { return r != '\n' && r != '\t' && (r < 0x20 || r >= 0x7f && r <= 0x9f) }); i >= 0 {
			t.Errorf("plain text of %q has a control character: %q", in, plain)
		}
		shown := string((&ConsoleFilter{Terminal: true}).Clean(nil, in))
		for rest := shown; ; {
			_, after, found := strings.Cut(rest, "\x1b")
			if !found {
				break
			}
			end := strings.IndexFunc(after, func(r rune) bool { return !strings.ContainsRune("[0123456789;", r) })
			if !strings.HasPrefix(after, "[") || end < 0 || !strings.ContainsRune("ABCDEFGHJKdfm", rune(after[end])) {
				t.Fatalf("a terminal would get %q of %q", after, in)
			}
			rest = after
		}
	})
}

func TestWithoutWords(t *testing.T) {
	userData := "#cloud-config\nwrite_files:\n- path: /etc/app\n  content: \"token=s3cr3t-t0ken and s3cr3t\"\nrun: [a, 'b c']\n"
	secrets := append([]string{"correct horse"}, strings.FieldsFunc(userData, betweenWords)...)
	for in, want := range map[string]string{
		"app started with s3cr3t-t0ken": "app started with ***",
		"s3cr3t alone":                  "*** alone",
		"bmc: correct horse":            "bmc: ***",
		"a b c run":                     "a b c run", // short words are everywhere
		"Kernel panic - not syncing":    "Kernel panic - not syncing",
	} {
		if got := withoutWords(in, secrets); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

// slowReader is a console: it prints, with pauses, and does not end before it is closed.
type slowReader struct {
	pieces []string
	pause  time.Duration
	closed chan struct{}
}

func (r *slowReader) Read(p []byte) (int, error) {
	next := time.After(r.pause)
	if len(r.pieces) == 0 {
		next = nil
	}
	select {
	case <-next:
	case <-r.closed:
		return 0, io.EOF
	}
	n := copy(p, r.pieces[0])
	r.pieces = r.pieces[1:]
	return n, nil
}

func TestHearIsBounded(t *testing.T) {
	for _, c := range []struct {
		name    string
		console *slowReader
		want    string
		within  time.Duration
	}{
		{"nothing", &slowReader{}, "", consoleFirst},
		{"what was kept", &slowReader{pieces: []string{"one\r\n", "two\r\n"}}, "one\ntwo\n", consoleQuiet},
		{"after a while", &slowReader{pieces: []string{"one\r\n"}, pause: 2 * time.Second}, "one\n", 2*time.Second + consoleQuiet},
		{"without end", &slowReader{pieces: strings.SplitAfter(strings.Repeat("on and on\n", 1000), "\n"), pause: 900 * time.Millisecond}, strings.Repeat("on and on\n", 5), consoleMost},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.console.closed = make(chan struct{})
				defer close(c.console.closed)
				began := time.Now()
				got := hear(t.Context(), c.console, consoleHeard)
				if took := time.Since(began); got != c.want || took != c.within {
					t.Errorf("heard %q in %s, want %q in %s", got, took, c.want, c.within)
				}
			})
		})
	}
}

// TestHearKeepsTheEnd: much text leaves its last lines, each of them whole.
func TestHearKeepsTheEnd(t *testing.T) {
	text := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 10_000) + "the end\r\n"
	got := hear(t.Context(), strings.NewReader(text), consoleHeard)
	if !strings.HasSuffix(got, "x\nthe end\n") || len(got) > 1<<17 {
		t.Errorf("%d bytes are left, with %q at their end", len(got), got[max(0, len(got)-20):])
	}
	if first, _, _ := strings.Cut(got, "\n"); len(first) != 70 {
		t.Errorf("the first line that is left has %d characters", len(first))
	}
	if got := tail(got); len(got) > tailBytes+3*tailLines || !strings.HasSuffix(got, `, "the end"`) {
		t.Errorf("%d bytes of an error are %q", len(got), got)
	}
}
