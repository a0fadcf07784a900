package core

import (
	"fmt"
	"strings"
	"sync"
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
