package sqlite

import (
	"context"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// shorten leaves out what is too much of stories that have grown. What fails here was
// asked for by nobody, and is done once they have grown again.
func (s *Store) shorten(ctx context.Context, due []record.Story) {
	for _, story := range due {
		for more := true; more; {
			var err error
			if more, err = s.leaveOut(ctx, story); err != nil {
				return
			}
		}
	}
}

// leaveOut puts one event in the place of the oldest of a story, where it is too long.
// more is whether it may be so still.
func (s *Store) leaveOut(ctx context.Context, story record.Story) (more bool, err error) {
	var last int64
	err = s.View(ctx, func(t core.Tx) (err error) {
		where := whose(story)
		last, err = record.Excess(list(t.(*tx), "measure events", record.ToldRow, "SELECT "+record.ToldColumns+" FROM events"+where.String()+" ORDER BY seq DESC", where.Args...))
		return err
	})
	if err != nil || last == 0 {
		return false, err
	}
	err = s.update(ctx, func(t core.Tx) (err error) {
		more, err = t.(*tx).leaveOut(story, last)
		return err
	})
	return more, err
}

// whose selects the events of a story, in the words of the indexes.
func whose(story record.Story) (where record.Where) {
	if story.Node != "" {
		where.And("node = ?%d AND node <> ''", string(story.Node))
		return where
	}
	where.And("allocation = ?%d AND allocation <> '' AND node = ''", string(story.Allocation))
	return where
}

func (t *tx) leaveOut(story record.Story, last int64) (more bool, err error) {
	where := whose(story)
	where.And("seq <= ?%d", last)
	where.Args = append(where.Args, record.AtOnce)
	var old []core.Event
	for ev, err := range list(t, "leave out events", record.Event, "SELECT "+record.EventColumns+" FROM events"+where.String()+" ORDER BY seq LIMIT ?", where.Args...) {
		if err != nil {
			return false, err
		}
		old = append(old, ev)
	}
	if len(old) == 0 || len(old) == 1 && old[0].Type == core.LeftOut { // another process was here
		return false, nil
	}
	out := core.LeaveOut(old)
	before := whose(story)
	before.And("seq < ?%d", out.Seq)
	if _, err := t.write("leave out events", "DELETE FROM events"+before.String(), before.Args...); err != nil {
		return false, err
	}
	_, err = t.write("leave out events", "UPDATE events SET attempt = '', generation = ?, type = ?, before = '', after = ?, trigger = ?, step = ?, message = ?, bytes = 0 WHERE seq = ?",
		int64(out.Generation), string(out.Type), string(out.To), string(out.On), out.Step, out.Message, out.Seq)
	return out.Seq < last, err
}
