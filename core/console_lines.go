package core

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"
)

const (
	consoleHeard = 16 * tailBytes // for an error: more than it keeps, since lines may be blank
	consoleKept  = 1 << 20        // more than BMCs keep
)

// How long a console is listened to for its last lines. A BMC that has kept them sends
// them at once; at others we hear only what the server prints now.
const (
	consoleOpens = 10 * time.Second
	consoleFirst = 3 * time.Second // until it says anything
	consoleQuiet = time.Second     // until it has no more to say
	consoleMost  = 5 * time.Second // together
)

// console is the end of the node's console, for an error about a server that did not
// come where it should; "" where it cannot be had, for it is a courtesy. It may be
// asked when the time for a step is over; who was stopped from outside has no use for
// it. own says that all of it was printed since this attempt began, see ConsoleMark.
//
// It is what the server says, whatever runs there. A system may print what it is
// configured with, so the words of the user data and the BMC's password are taken out.
func (w *work) console(ctx context.Context) (text string, own bool) {
	cause := context.Cause(ctx)
	if cause != nil && !errors.Is(cause, context.DeadlineExceeded) && !errors.Is(cause, errOutOfTime) {
		return "", false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), consoleOpens+consoleMost)
	defer cancel()
	secrets, err := w.consoleSecrets(ctx)
	if err != nil {
		w.e.log.Warn("the console is not read", "node", w.node.ID, "error", err)
		return "", false
	}
	console, err := w.e.openConsole(ctx, w.node)
	if err != nil {
		w.e.log.Info("the console tells nothing", "node", w.node.ID, "error", err)
		return "", false
	}
	defer console.Close()
	text = hear(ctx, console, consoleKept)
	if since, found := sinceMark(text, w.attempt.marks()); found {
		text, own = since, true
	}
	return withoutWords(lastBytes(text, consoleHeard), secrets), own
}

// lastBytes is the end of a text from a line's beginning on: half a secret would not be
// found.
func lastBytes(text string, most int) string {
	if len(text) <= most {
		return text
	}
	_, text, _ = strings.Cut(text[len(text)-most:], "\n")
	return text
}

// ConsoleTail is the last lines of a node's console: of what the BMC has kept, and of
// what the server prints in the few seconds in which we listen. They are the server's
// own words, without control characters.
func (e *Engine) ConsoleTail(ctx context.Context, id NodeID, lines int) ([]string, error) {
	text, err := e.heardOf(ctx, id)
	if err != nil {
		return nil, err
	}
	return lastLines(text, lines), ctx.Err()
}

// consoleSecrets are texts that may be on the console and not in an error.
func (w *work) consoleSecrets(ctx context.Context) ([]string, error) {
	password, err := w.e.bmcPassword(ctx, w.node)
	if err != nil {
		return nil, err
	}
	secrets := []string{password}
	fragments, err := w.fragments()
	if err != nil {
		return nil, err
	}
	for _, f := range fragments {
		secrets = append(secrets, f.Secrets...)
	}
	if w.attempt.Allocation == "" {
		return secrets, nil
	}
	var sealed Sealed
	err = w.e.store.View(ctx, func(tx Tx) error {
		a, err := tx.Allocation(w.attempt.Allocation)
		if err == nil && a.Order != nil {
			sealed = a.Order.UserData
		}
		return err
	})
	if err != nil || len(sealed) == 0 {
		return secrets, err
	}
	plain, err := w.e.sealer.Open(sealed)
	return append(secrets, strings.FieldsFunc(string(plain), betweenWords)...), err
}

// betweenWords is what stands around a value in a script or a YAML file.
func betweenWords(r rune) bool { return strings.ContainsRune(" \t\r\n\"'`=,:;|&<>()[]{}", r) }

// hear reads a console until it has no more to say, and returns the end of it as plain
// text: at least that many bytes, where there are so many.
func hear(ctx context.Context, console io.Reader, most int) string {
	pieces := make(chan []byte)
	ctx, cancel := context.WithTimeout(ctx, consoleMost)
	defer cancel()
	go func() {
		defer close(pieces)
		for {
			buffer := make([]byte, 4<<10)
			n, err := console.Read(buffer)
			select {
			case pieces <- buffer[:n]:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	var (
		filter   ConsoleFilter
		text     []byte
		patience = consoleFirst
	)
	for {
		quiet := time.NewTimer(patience)
		select {
		case p, open := <-pieces:
			quiet.Stop()
			if !open {
				return string(text)
			}
			text = filter.Clean(text, p)
			if len(text) > 2*most {
				// From a line's beginning on: half a secret would not be found.
				text = text[len(text)-most:]
				text = append([]byte(nil), text[bytes.IndexByte(text, '\n')+1:]...)
			}
			patience = consoleQuiet
		case <-quiet.C:
			return string(text)
		case <-ctx.Done():
			quiet.Stop()
			return string(text)
		}
	}
}

// shortestSecret is the length from which a word of the user data counts as one, in
// bytes: shorter ones are everywhere.
const shortestSecret = 6

// withoutWords is a text with *** for what is in secrets.
func withoutWords(text string, secrets []string) string {
	var told []string
	for _, s := range secrets {
		for _, form := range []string{s, onConsole(s)} {
			if len(form) >= shortestSecret {
				told = append(told, form)
			}
		}
	}
	return without(text, "***", extents(text, told, false, false))
}
