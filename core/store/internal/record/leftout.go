package record

import (
	"fmt"
	"iter"

	"github.com/metalpool/metalpool/core"
)

// atOnce is how many events are left out in one transaction: others wait for it.
const atOnce = 4096

// Telling is a transaction as far as it reads events and leaves some out.
type Telling interface {
	Told(query string, args ...any) iter.Seq2[Told, error]         // rows of ToldColumns
	Events(query string, args ...any) iter.Seq2[core.Event, error] // rows of EventColumns
	Write(query string, args ...any) error
}

// Shortener leaves events out of a store's stories, in its words.
type Shortener struct {
	View, Update func(fn func(t Telling) error) error
	Number       string                   // how an argument is written, whose verb is its number
	Text         func(text string) string // as the store takes it
	// Lock ends a query whose rows nobody else is to leave out meanwhile.
	Lock string
}

// Shorten leaves out what is too much of stories that have grown. What fails here was
// asked for by nobody, and is done once they have grown again.
func (s Shortener) Shorten(due []Story) {
	for _, story := range due {
		for more := true; more; {
			var err error
			if more, err = s.leaveOut(story); err != nil {
				return
			}
		}
	}
}

// leaveOut puts one event in the place of the oldest of a story, where it is too long.
// more is whether it may be so still.
func (s Shortener) leaveOut(story Story) (more bool, err error) {
	var last int64
	err = s.View(func(t Telling) (err error) {
		where := s.whose(story)
		last, err = Excess(t.Told("SELECT "+ToldColumns+" FROM events"+where.String()+" ORDER BY seq DESC", where.Args...))
		return err
	})
	if err != nil || last == 0 {
		return false, err
	}
	err = s.Update(func(t Telling) (err error) {
		more, err = s.leaveOutUntil(t, story, last)
		return err
	})
	return more, err
}

// whose selects the events of a story, in the words of the indexes.
func (s Shortener) whose(story Story) (where Where) {
	if story.Node != "" {
		where.And("node = "+s.Number+" AND node <> ''", s.Text(string(story.Node)))
		return where
	}
	where.And("allocation = "+s.Number+" AND allocation <> '' AND node = ''", s.Text(string(story.Allocation)))
	return where
}

func (s Shortener) leaveOutUntil(t Telling, story Story, last int64) (more bool, err error) {
	where := s.whose(story)
	where.And("seq <= "+s.Number, last)
	var old []core.Event
	for ev, err := range t.Events(fmt.Sprintf("SELECT %s FROM events%s ORDER BY seq LIMIT %d%s", EventColumns, where.String(), atOnce, s.Lock), where.Args...) {
		if err != nil {
			return false, err
		}
		old = append(old, ev)
	}
	if len(old) == 0 || len(old) == 1 && old[0].Type == core.LeftOut { // another process was here
		return false, nil
	}
	out := core.LeaveOut(old)
	before := s.whose(story)
	before.And("seq < "+s.Number, out.Seq)
	if err := t.Write("DELETE FROM events"+before.String(), before.Args...); err != nil {
		return false, err
	}
	var mark [7]any
	for i := range mark {
		mark[i] = fmt.Sprintf(s.Number, i+1)
	}
	err = t.Write(fmt.Sprintf("UPDATE events SET attempt = '', generation = %s, type = %s, before = '', after = %s, trigger = %s, step = %s, message = %s, bytes = 0 WHERE seq = %s", mark[:]...),
		int64(out.Generation), string(out.Type), string(out.To), string(out.On), out.Step, out.Message, out.Seq)
	return out.Seq < last, err
}
