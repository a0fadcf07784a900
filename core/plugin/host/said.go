package host

import (
	"context"
	"io"
	"strings"
	"sync"

	"golang.org/x/time/rate"
)

// How much a plugin may say: so much at once, and then so much in a second, in bytes. It
// is held up beyond that, so that one which floods does not keep us busy.
const (
	sayAtOnce = 4 << 20
	sayRate   = 1 << 20
	// leastSaid is what the shortest message counts.
	leastSaid = 256
)

// said passes on what a plugin says, from wherever it says it, until it is over.
type said struct {
	ctx   context.Context
	limit *rate.Limiter

	mu   sync.Mutex
	to   io.Writer
	over bool
}

func newSaid(ctx context.Context, to io.Writer) *said {
	return &said{ctx: ctx, to: to, limit: rate.NewLimiter(sayRate, sayAtOnce)}
}

func (s *said) Write(p []byte) (int, error) {
	if err := s.limit.WaitN(s.ctx, min(max(len(p), leastSaid), sayAtOnce)); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		_, _ = s.to.Write(p) // it keeps what it can
	}
	return len(p), nil
}

// end has nothing passed on any more.
func (s *said) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

// complaint keeps the last lines of what a plugin writes to its standard error. A line of
// which the beginning is not kept is not told: it may be cut in the middle of a secret.
type complaint struct {
	to *said

	mu   sync.Mutex
	tail []byte
	cut  bool // within its first line
}

const keptComplaint = 8 << 10 // bytes

func (c *complaint) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.tail = append(c.tail, p...)
	if over := len(c.tail) - keptComplaint; over > 0 {
		c.cut = c.tail[over-1] != '\n'
		c.tail = append([]byte(nil), c.tail[over:]...)
	}
	c.mu.Unlock()
	return c.to.Write(p)
}

// last is the line that says most: that of a panic, else the last one.
func (c *complaint) last() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, found := string(c.tail), ""
	if c.cut {
		_, text, _ = strings.Cut(text, "\n")
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return line
		}
		if line != "" {
			found = line
		}
	}
	return found
}
