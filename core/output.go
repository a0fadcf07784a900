package core

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"text/template"
	"unicode"
)

// keptOutput is how much is kept of the beginning, and of the end, of what a step says.
const keptOutput = 16 * KiB

// output keeps the first and the last of what is written to it. It may be read meanwhile.
type output struct {
	mu         sync.Mutex
	head, tail []byte
	dropped    int
	gap        bool   // the head is over, whatever room there is: what comes now is from further on
	lately     []byte // what was said last, where all of it comes at the end alone
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(p)
	if room := int(keptOutput) - len(o.head); room > 0 && !o.gap {
		take := min(room, len(p))
		o.head, p = append(o.head, p[:take]...), p[take:]
	}
	o.tail = append(o.tail, p...)
	if over := len(o.tail) - int(keptOutput); over > 0 {
		o.dropped += over
		o.tail = append([]byte(nil), o.tail[over:]...)
	}
	return n, nil
}

// Skip takes note that so many bytes were said that did not come here.
func (o *output) Skip(bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	// Of what came before them there is a beginning already.
	o.dropped += int(bytes) + len(o.tail)
	o.tail, o.gap = nil, true
}

// Lately takes the last of what was said so far, all of which will be written later. It is
// cut anywhere.
func (o *output) Lately(last []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lately = append([]byte(nil), last...)
}

// soFar is the end of what was said until now, for a line; "" where that is nothing.
func (o *output) soFar(secrets []string) string {
	o.mu.Lock()
	last := append(append([]byte(nil), o.head...), o.tail...)
	if o.dropped > 0 || len(last) == 0 {
		last = append([]byte(nil), o.tail...)
	}
	cut := o.dropped > 0
	if len(last) == 0 {
		last, cut = o.lately, true
	}
	o.mu.Unlock()
	// What is being said just now may be a secret's first half.
	return lastSaid(hideCut(printable(string(last)), secrets, cut, true))
}

// text is what was kept, without secrets and without what a terminal would obey.
func (o *output) text(secrets []string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	// What is not shown may part a secret, and would no more.
	if o.dropped == 0 {
		return hide(printable(string(o.head)+string(o.tail)), secrets)
	}
	// Of a secret that was cut in two, the half that is left tells enough.
	head, tail := hideCut(printable(string(o.head)), secrets, false, true), hideCut(printable(string(o.tail)), secrets, true, false)
	return head + fmt.Sprintf("\n… %s left out …\n", Bytes(o.dropped)) + tail
}

// quotedLines is how many lines of what a step said are told with its failure.
const quotedLines = 2

// lastSaid is the end of what a step said, for an error.
func lastSaid(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return tail(strings.Join(lines[max(0, len(lines)-quotedLines):], "\n"))
}

const hidden = "(secret)"

// hide takes secrets out of a text.
func hide(text string, secrets []string) string { return hideCut(text, secrets, false, false) }

// hideCut is hide for a text that may be cut in the middle of a secret, at its beginning or
// at its end. Of secrets that have something in common there all is taken out as one: what
// was left of the other would tell of it.
func hideCut(text string, secrets []string, atBeginning, atEnd bool) string {
	type span struct{ from, to int }
	var found []span
	for _, s := range secrets {
		for from := 0; s != ""; {
			at := strings.Index(text[from:], s)
			if at < 0 {
				break
			}
			found = append(found, span{from + at, from + at + len(s)})
			from += at + 1
		}
		half := func(cut bool, is func(n int) bool) int {
			for n := min(len(s)-1, len(text)); cut && n > 0; n-- {
				if is(n) {
					return n
				}
			}
			return 0
		}
		if n := half(atBeginning, func(n int) bool { return strings.HasPrefix(text, s[len(s)-n:]) }); n > 0 {
			found = append(found, span{0, n})
		}
		if n := half(atEnd, func(n int) bool { return strings.HasSuffix(text, s[:n]) }); n > 0 {
			found = append(found, span{len(text) - n, len(text)})
		}
	}
	slices.SortFunc(found, func(a, b span) int { return cmp.Or(a.from-b.from, b.to-a.to) })
	var b strings.Builder
	told := 0
	for _, next := range found {
		if next.from >= told {
			b.WriteString(text[told:next.from] + hidden)
		}
		told = max(told, next.to)
	}
	return b.String() + text[told:]
}

// sayable are a secret and what programs make of it: of one that has several lines each by
// itself, and all in one; what templates and addresses escape; and all of it as it is shown.
func sayable(secret string) []string {
	all := []string{secret}
	for line := range strings.Lines(secret) {
		if line = strings.TrimSpace(line); len(line) >= tellingLine && line != secret {
			all = append(all, line)
		}
	}
	quoted, _ := json.Marshal(secret) // a text can be
	all = append(all, strings.Join(strings.Fields(secret), " "), strings.ReplaceAll(secret, "\n", `\n`), string(quoted[1:len(quoted)-1]),
		url.QueryEscape(secret), url.PathEscape(secret), (&url.URL{Path: "/" + secret}).EscapedPath()[1:], template.HTMLEscapeString(secret), template.JSEscapeString(secret))
	for _, s := range slices.Clone(all) {
		if p := printable(s); p != s {
			all = append(all, p)
		}
	}
	return all
}

// tellingLine is the shortest line of a secret that tells anything, in bytes.
const tellingLine = 8

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}
