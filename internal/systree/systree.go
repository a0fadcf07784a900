// Package systree lays out a recorded piece of /sys, /proc and /dev for tests. A
// record is text, one line per file, because the names of real devices hold colons
// and lead through symbolic links, which a Go module cannot carry as files.
package systree

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Unpack lays out the record in a directory of its own, and returns it. Lines are
//
//	# a remark
//	path = text           a file with that text and a line's end
//	path : 00 1f a0       a file with those bytes
//	path -> target        a symbolic link
func Unpack(t testing.TB, record string) (root string) {
	t.Helper()
	text, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	root = t.TempDir()
	for n, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := lay(root, line); err != nil {
			t.Fatalf("%s:%d: %v", record, n+1, err)
		}
	}
	return root
}

func lay(root, line string) error {
	name, rest, _ := strings.Cut(line, " ")
	kind, value, _ := strings.Cut(rest, " ")
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	switch kind {
	case "->":
		return os.Symlink(value, path)
	case "=":
		return os.WriteFile(path, []byte(value+"\n"), 0o644)
	case ":":
		raw, err := hex.DecodeString(strings.ReplaceAll(value, " ", ""))
		if err != nil {
			return err
		}
		return os.WriteFile(path, raw, 0o644)
	}
	return os.ErrInvalid
}
