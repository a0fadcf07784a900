package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
)

// progress shows work under way on stderr: bars on a terminal, plain lines
// elsewhere. Lines that a command prints meanwhile go through it, or they would
// run into the bars.
type progress struct {
	mu     sync.Mutex
	out    io.Writer
	bars   *bars // nil: plain lines
	nodes  map[core.NodeID]*track
	now    func() time.Time
	closed bool
}

// track is what was last said of one node.
type track struct {
	step    string
	message string
	began   time.Time
	shown   int // percent, on plain lines
	bar     *bar
}

// percentStep is how coarse plain lines tell of a long step: logs keep each.
const percentStep = 20

func (a *app) progress() *progress {
	p := &progress{out: a.err, nodes: map[core.NodeID]*track{}, now: time.Now}
	if isTerminal(a.err) {
		p.bars = newBars(a.err)
	}
	return p
}

// report implements core.Reporter.
func (p *progress) report(moment core.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	t := p.nodes[moment.Node]
	if t == nil {
		t = &track{}
		p.nodes[moment.Node] = t
	}
	fresh := moment.Step != t.step
	if fresh {
		p.finish(moment.Node, t)
		t.step, t.message, t.began, t.shown = moment.Step, "", p.now(), 0
	}
	said := moment.Message != "" && moment.Message != t.message
	if said {
		t.message = moment.Message
	}
	if p.bars != nil {
		if t.bar == nil {
			t.bar = p.bars.add(string(moment.Node))
		}
		t.bar.set(moment, t.message, t.began)
		return
	}
	if fresh || said {
		p.plain(moment.Node, words(t.step+either(said, ":", ""), moment.Message))
	}
	if percent, known := moment.Percent(); known {
		if percent = percent / percentStep * percentStep; percent > t.shown {
			t.shown = percent
			p.plain(moment.Node, fmt.Sprintf("%s: %d%% of %s", t.step, percent, moment.Amount(moment.Total)))
		}
	}
}

// finish leaves a line about the step that is over, with the time it took, above
// the bars. Plain lines have their order, and the log its clock.
func (p *progress) finish(node core.NodeID, t *track) {
	if p.bars == nil || t.step == "" {
		return
	}
	p.bars.above(stepLine(string(node), t.step, took(p.now().Sub(t.began))))
}

func (p *progress) plain(node core.NodeID, text string) {
	fmt.Fprintln(p.out, oneLine(words(either(node == "", "", string(node)+":"), text)))
}

// line prints a line for people between or above what moves.
func (p *progress) line(format string, args ...any) {
	_ = p.print(p.out, oneLine(fmt.Sprintf(format, args...))) // nobody reads stderr: nobody misses it
}

// done says how the work on a node ended; nothing moves there any more.
func (p *progress) done(node core.NodeID, format string, args ...any) {
	p.mu.Lock()
	if t := p.nodes[node]; t != nil && !p.closed {
		p.finish(node, t)
		if t.bar != nil {
			t.bar.remove()
		}
		delete(p.nodes, node)
	}
	p.mu.Unlock()
	p.line(format, args...)
}

// fail tells of one failure among several.
func (p *progress) fail(err error) { _ = p.print(p.out, complaint(err)) }

// data prints a line of data to stdout. Where that is the terminal on which the
// bars are, it has to go above them.
func (p *progress) data(stdout io.Writer, line string) error { return p.print(stdout, line) }

func (p *progress) print(to io.Writer, text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars != nil && !p.closed && (to == p.out || isTerminal(to)) {
		p.bars.above(text)
		return nil
	}
	_, err := fmt.Fprintln(to, text)
	return err
}

// stop takes the bars away. What is reported later is not shown.
func (p *progress) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	if p.bars == nil {
		return
	}
	for node, t := range p.nodes {
		p.finish(node, t)
	}
	p.bars.stop()
}
