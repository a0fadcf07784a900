package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/metalpool/metalpool/core"
)

// bars are one line per node on a terminal.
type bars struct {
	container *mpb.Progress
	all       []*bar
}

// newBars draws until stop: after Ctrl-C, too, for then the work is wound up.
func newBars(out io.Writer) *bars {
	return &bars{container: mpb.New(mpb.WithOutput(out), mpb.WithAutoRefresh(), mpb.WithRefreshRate(120*time.Millisecond))}
}

// above writes a line that stays, above the bars.
func (b *bars) above(line string) {
	_, _ = fmt.Fprintln(b.container, line) // the terminal is gone: nobody reads it
}

// stop removes the bars and waits until the last was drawn.
func (b *bars) stop() {
	for _, r := range b.all {
		r.remove()
	}
	b.container.Wait()
}

// bar is one node's line. mpb draws from its own goroutine.
type bar struct {
	mu      sync.Mutex
	moment  core.Progress
	message string
	began   time.Time
	line    *mpb.Bar
}

func (b *bars) add(node string) *bar {
	r := &bar{}
	shape := mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding(" ").Rbound("]").Build()
	filler := mpb.BarFillerFunc(func(w io.Writer, stat decor.Statistics) error {
		r.mu.Lock()
		measured, message := r.moment.Total > 0, r.message
		r.mu.Unlock()
		if measured {
			stat.RequestedWidth = 30
			return shape.Fill(w, stat)
		}
		_, err := io.WriteString(w, clip(oneLine(message), stat.AvailableWidth))
		return err
	})
	// Total 0 keeps mpb from ever taking the bar for complete.
	r.line = b.container.MustAdd(0, filler,
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return r.head(node) })),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return r.tail() })))
	b.all = append(b.all, r)
	return r
}

// remove may be called more than once.
func (r *bar) remove() { r.line.Abort(true) }

func (r *bar) set(moment core.Progress, message string, began time.Time) {
	r.mu.Lock()
	r.moment, r.message, r.began = moment, message, began
	r.mu.Unlock()
	r.line.SetTotal(int64(moment.Total), false)
	r.line.SetCurrent(int64(moment.Done))
}

func (r *bar) head(node string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return stepLine(node, r.moment.Step, elapsed(time.Since(r.began))) + "  "
}

// stepColumn is as wide as the names of our own steps, and of most that operators give
// theirs. A longer one is cut: its line is one among others, and the events have all of it.
const stepColumn = 22

// stepLine begins the line of a step, under way or over. Its columns stand where they are
// for each step, and leave room for what the step says on a terminal of 80 columns.
func stepLine(node, step, time string) string {
	return fmt.Sprintf("  %-10s  %-*s  %6s", node, stepColumn, clip(oneLine(step), stepColumn), time)
}

func (r *bar) tail() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.moment.Total <= 0 {
		return ""
	}
	done, total := fmt.Sprintf("% .1f", decor.SizeB1024(r.moment.Done)), fmt.Sprintf("% .1f", decor.SizeB1024(r.moment.Total))
	rate := ""
	if spent := time.Since(r.began); spent > time.Second {
		rate = fmt.Sprintf("  % .0f/s", decor.SizeB1024(float64(r.moment.Done)/spent.Seconds()))
	}
	if r.moment.OfDisks() {
		// What an erase does at once may be much more than it writes: a rate says nothing.
		done, total, rate = fmt.Sprintf("% .1f", decor.SizeB1000(r.moment.Done)), fmt.Sprintf("% .1f", decor.SizeB1000(r.moment.Total)), ""
	}
	return fmt.Sprintf(" %3.0f%%  %s of %s%s", float64(r.moment.Done)/float64(r.moment.Total)*100, done, total, rate)
}

// elapsed is a running time: it may not dance while it is looked at.
func elapsed(d time.Duration) string {
	return d.Truncate(time.Second).String()
}
