package sqlite

import (
	"context"
	"iter"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// shorten leaves out what is too much of stories that have grown.
func (s *Store) shorten(ctx context.Context, due []record.Story) {
	record.Shortener{
		View: func(fn func(record.Telling) error) error {
			return s.View(ctx, func(t core.Tx) error { return fn(telling{t.(*tx)}) })
		},
		Update: func(fn func(record.Telling) error) error {
			return s.update(ctx, func(t core.Tx) error { return fn(telling{t.(*tx)}) })
		},
		Number: "?%d", Text: func(text string) string { return text },
	}.Shorten(due)
}

// telling is a transaction that leaves events out.
type telling struct{ *tx }

func (t telling) Told(query string, args ...any) iter.Seq2[record.Told, error] {
	return list(t.tx, "measure events", record.ToldRow, query, args...)
}

func (t telling) Events(query string, args ...any) iter.Seq2[core.Event, error] {
	return list(t.tx, "leave out events", record.Event, query, args...)
}

func (t telling) Write(query string, args ...any) error {
	_, err := t.write("leave out events", query, args...)
	return err
}
