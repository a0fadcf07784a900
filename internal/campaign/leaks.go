package campaign

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// leaks knows secrets, and looks for them where they must not be.
type leaks struct {
	mu      sync.Mutex
	planted map[string]string // secret → what it is
	found   []string
}

func newLeaks() *leaks { return &leaks{planted: map[string]string{}} }

// plant tells of a secret.
func (l *leaks) plant(what, secret string) {
	if len(secret) < 8 {
		panic("a secret that short is found anywhere")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.planted[secret] = what
}

// look looks through what was written or shown somewhere.
func (l *leaks) look(where string, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for secret, what := range l.planted {
		if bytes.Contains(text, []byte(secret)) {
			l.found = append(l.found, fmt.Sprintf("%s is in %s", what, where))
		}
	}
}

// lookAtArguments looks through the arguments of all processes that there are.
func (l *leaks) lookAtArguments() {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range lines {
		if text, err := os.ReadFile(name); err == nil {
			l.look("the arguments of "+strings.ReplaceAll(string(firstWord(text)), "\x00", " "), text)
		}
	}
}

func firstWord(arguments []byte) []byte {
	word, _, _ := bytes.Cut(arguments, []byte{0})
	return word
}

// lookAtFiles looks through all files below a folder.
func (l *leaks) lookAtFiles(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil //nolint:nilerr // a file that is gone meanwhile holds nothing
		}
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		l.look(path, text)
		return err
	})
}

// take returns what was found since it was last called.
func (l *leaks) take() (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, l.found = l.found, nil
	return found
}
