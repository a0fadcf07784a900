package server

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
)

// How much a token that asks for what it may not makes the audit log, which is kept for
// ever, grow by.
const (
	denialsBurst = 20 // refused writes of a token that have a line each
	denialsEvery = time.Minute
)

// denials tell the audit log of writes that were refused: by a line each, and of those of
// a token that come too often by one that counts them. A server that dies loses at most
// the count of the last minute.
type denials struct {
	tell func(core.AuditEntry)
	each *limits // by token

	mu      sync.Mutex
	counted map[string]*counted // by token
}

// counted are refused writes of a token that have no line yet.
type counted struct {
	last core.AuditEntry
	many int
}

func newDenials(tell func(core.AuditEntry)) *denials {
	return &denials{tell: tell, each: newLimits(1/denialsEvery.Seconds(), denialsBurst), counted: map[string]*counted{}}
}

func (d *denials) add(e core.AuditEntry) {
	if d.each.take(e.Token) == 0 {
		d.tell(e)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c, there := d.counted[e.Token]
	if !there {
		c = &counted{}
		d.counted[e.Token] = c
		time.AfterFunc(denialsEvery, func() { d.sum(e.Token) })
	}
	c.last, c.many = e, c.many+1
}

// sum tells of those of a token that have no line yet.
func (d *denials) sum(token string) {
	d.mu.Lock()
	c := d.counted[token]
	delete(d.counted, token)
	d.mu.Unlock()
	if c == nil {
		return // somebody has told of them
	}
	e := c.last
	if c.many > 1 {
		e.Error = fmt.Sprintf("the last of %d writes of this token that were refused: %s", c.many, e.Error)
	}
	d.tell(e)
}

// flush tells of all that have no line yet.
func (d *denials) flush() {
	d.mu.Lock()
	tokens := slices.Collect(maps.Keys(d.counted))
	d.mu.Unlock()
	for _, token := range tokens {
		d.sum(token)
	}
}
