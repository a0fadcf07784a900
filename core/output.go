package core

import (
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
	text := printable(string(last))
	if n := halfAtBeginning(text, secrets); n > 0 && cut {
		text = hidden + text[n:]
	}
	// What is being said just now may be a secret's first half.
	if n := halfAtEnd(text, secrets); n > 0 {
		text = text[:len(text)-n] + hidden
	}
	return lastSaid(hide(text, secrets))
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
	head, tail := printable(string(o.head)), printable(string(o.tail))
	if n := halfAtEnd(head, secrets); n > 0 {
		head = head[:len(head)-n] + hidden
	}
	if n := halfAtBeginning(tail, secrets); n > 0 {
		tail = hidden + tail[n:]
	}
	return hide(head, secrets) + fmt.Sprintf("\n… %s left out …\n", Bytes(o.dropped)) + hide(tail, secrets)
}

// halfAtEnd is how many bytes at the end of a text may be the beginning of a secret: of
// several the longest, which has the others in it, and all of one that would be parted there.
func halfAtEnd(text string, secrets []string) (most int) {
	for _, s := range secrets {
		for n := min(len(s)-1, len(text)); n > most; n-- {
			if strings.HasSuffix(text, s[:n]) {
				most = n
			}
		}
	}
	cut := len(text) - most
	for _, s := range secrets {
		if from := max(0, cut-len(s)+1); most > 0 && s != "" {
			if at := strings.Index(text[from:min(len(text), cut+len(s)-1)], s); at >= 0 {
				most = max(most, len(text)-from-at)
			}
		}
	}
	return most
}

// halfAtBeginning is how many bytes at the beginning of a text may be the end of a secret,
// and all of one that would be parted there.
func halfAtBeginning(text string, secrets []string) (most int) {
	for _, s := range secrets {
		for n := min(len(s)-1, len(text)); n > most; n-- {
			if strings.HasPrefix(text, s[len(s)-n:]) {
				most = n
			}
		}
	}
	cut := most
	for _, s := range secrets {
		if from := max(0, cut-len(s)+1); cut > 0 && s != "" {
			if at := strings.LastIndex(text[from:min(len(text), cut+len(s)-1)], s); at >= 0 {
				most = max(most, from+at+len(s))
			}
		}
	}
	return most
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

// hide takes secrets out of a text, the longer before what is a part of them.
func hide(text string, secrets []string) string {
	for _, s := range slices.SortedFunc(slices.Values(secrets), func(a, b string) int { return len(b) - len(a) }) {
		if s != "" {
			text = strings.ReplaceAll(text, s, hidden)
		}
	}
	return text
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
