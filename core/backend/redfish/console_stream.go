package redfish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// stream is what comes out of a console.
type stream struct {
	client  *ssh.Client
	session *ssh.Session
	pieces  chan []byte // closed at the end
	done    chan struct{}
	closing sync.Once
	rest    []byte
	prompt  string // of the command line before the console
}

func newStream(client *ssh.Client, session *ssh.Session, out io.Reader) *stream {
	s := &stream{client: client, session: session, pieces: make(chan []byte), done: make(chan struct{})}
	go func() {
		defer close(s.pieces)
		for {
			buffer := make([]byte, 32<<10)
			n, err := out.Read(buffer)
			if n > 0 {
				select {
				case s.pieces <- buffer[:n]:
				case <-s.done:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return s
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		piece, open := <-s.pieces
		if !open {
			return 0, io.EOF
		}
		s.rest = piece
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// farewell is how long a BMC may take to see that a session has ended.
const farewell = time.Second

// Close leaves as a guest does: where there is one session only, it is free when Close
// returns, unless the BMC is slow to say so.
func (s *stream) Close() (err error) {
	s.closing.Do(func() {
		_ = s.session.Close() // the answer is the end of pieces
		gone := time.NewTimer(farewell)
		defer gone.Stop()
		for open := true; open; {
			select {
			case _, open = <-s.pieces:
			case <-gone.C:
				open = false
			}
		}
		close(s.done)
		if err = s.client.Close(); errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
			err = nil // the BMC, or the end of the context, was first
		}
	})
	return err
}

// walkIn types the commands that lead into the console. What a command line says
// before it is not the console's.
func (s *stream) walkIn(ctx context.Context, keys io.Writer, entry []string, o Options) error {
	for _, command := range entry {
		before, err := s.until(ctx, o.Prompt, atPrompt)
		if err != nil {
			return err
		}
		s.prompt = lastLine(before)
		if _, err := io.WriteString(keys, command+"\r"); err != nil {
			return fmt.Errorf("%w: %w", errHungUp, err)
		}
	}
	if len(entry) == 0 {
		return nil
	}
	// Either the console begins, or the command line says no and asks again.
	said, err := s.until(ctx, o.Entry, func(b []byte) bool { return atPrompt(b) && lastLine(b) == s.prompt })
	if err != nil {
		return err
	}
	said = bytes.TrimLeft(withoutEcho(said, entry[len(entry)-1]), "\r\n")
	if s.prompt != "" && lastLine(said) == s.prompt {
		return &entryError{entry[len(entry)-1], strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(said)), s.prompt))}
	}
	s.rest = said
	return nil
}

// entryError is a command line that does not lead into the console.
type entryError struct{ command, said string }

func (e *entryError) Error() string {
	return fmt.Sprintf("its command line answers %q with %s", e.command, quote(e.said, 200))
}

// maxPreamble is more than a command line says before the console, in bytes.
const maxPreamble = 256 << 10

// until reads until enough is there, or that time is over: who prints all the time is
// not waited for.
func (s *stream) until(ctx context.Context, within time.Duration, enough func([]byte) bool) ([]byte, error) {
	var all []byte
	timer := time.NewTimer(within)
	defer timer.Stop()
	for !enough(all) && len(all) < maxPreamble {
		select {
		case piece, open := <-s.pieces:
			if !open {
				return nil, errHungUp
			}
			all = append(all, piece...)
		case <-timer.C:
			return all, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return all, nil
}

var errHungUp = errors.New("its command line hung up")

// atPrompt guesses whether a command line waits for input.
func atPrompt(b []byte) bool {
	last := strings.TrimRight(lastLine(b), " ")
	return strings.HasSuffix(last, ">") || strings.HasSuffix(last, "$") || strings.HasSuffix(last, "#")
}

func lastLine(b []byte) string { return string(b[bytes.LastIndexAny(b, "\r\n")+1:]) }

// withoutEcho drops the line in which the command line repeats a command.
func withoutEcho(b []byte, command string) []byte {
	first, rest, found := bytes.Cut(b, []byte("\n"))
	if found && strings.TrimSpace(string(first)) == command {
		return rest
	}
	return b
}
