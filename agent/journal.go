package agent

import (
	"bytes"
	"sync"

	"github.com/metalpool/metalpool/core/deploy/wire"
)

// Journal keeps the last of what was said, for an engine that asks what happened: at
// most wire.MaxLog bytes of whole lines. The zero Journal is empty. Writers may be
// several; each writes whole lines.
type Journal struct {
	mu   sync.Mutex
	text []byte
}

// Write never fails.
func (j *Journal) Write(lines []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text = append(j.text, lines...)
	if len(j.text) > 2*wire.MaxLog { // so that little is moved for each line
		j.text = append([]byte(nil), tail(j.text)...)
	}
	return len(lines), nil
}

// Text returns what is kept, the oldest first.
func (j *Journal) Text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(tail(j.text))
}

func tail(text []byte) []byte {
	if len(text) <= wire.MaxLog {
		return text
	}
	text = text[len(text)-wire.MaxLog:]
	return text[bytes.IndexByte(text, '\n')+1:]
}
