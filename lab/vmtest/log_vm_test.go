//go:build vm

package vmtest_test

import (
	"log/slog"
	"sync"
	"testing"
)

// logbook keeps what engine and lab log, to be shown where a test fails: there is too
// much of it to be read along.
type logbook struct {
	mu    sync.Mutex
	text  []byte
	shown int // bytes
}

// newLogbook shows what nobody has shown at the end of a test that failed.
func newLogbook(t *testing.T) *logbook {
	l := &logbook{}
	t.Cleanup(func() { l.show(t) })
	return l
}

// Write implements io.Writer.
func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

// show shows what was logged since it was last called, where t has failed.
func (l *logbook) show(t *testing.T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.Failed() && l.shown < len(l.text) {
		t.Logf("engine and lab logged:\n%s", l.text[l.shown:])
	}
	l.shown = len(l.text)
}

func (l *logbook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
