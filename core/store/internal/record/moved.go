package record

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/metalpool/metalpool/core"
)

// Mark is where a pool has moved to as it is kept in meta; "" where it has not.
func Mark(m core.Moved) (string, error) {
	if m.Copy == "" {
		return "", nil
	}
	mark, err := json.Marshal(m)
	return string(mark), err
}

// Moved reads a Mark.
func Moved(mark string) (m core.Moved, err error) {
	if mark != "" {
		err = json.Unmarshal([]byte(mark), &m)
	}
	return m, err
}

// Mover is what an open store knows of its mark: the one that it was opened with to be
// copied, or has made itself, is no news to it.
type Mover struct{ known atomic.Value }

// Knows takes a mark as known.
func (m *Mover) Knows(mark string) { m.known.Store(mark) }

// Here refuses to go on with a store whose pool has moved away.
func (m *Mover) Here(store, mark string) error {
	if known, _ := m.known.Load().(string); mark == "" || mark == known {
		return nil
	}
	moved, err := Moved(mark)
	if err != nil {
		return Broken("use the store", fmt.Errorf("%s: where its pool has moved to: %w", store, err))
	}
	return MovedAway(store, moved)
}

// MovedAway refuses to use a store whose pool has moved away.
func MovedAway(store string, m core.Moved) error {
	return &core.Error{Op: "use the store", Kind: core.Invalid,
		Err:  core.Outdated(fmt.Errorf("the pool in %s was copied to %s at %s, and is kept there from then on", store, m.To, m.At.Format(time.RFC3339))),
		Hint: "name that one in METALPOOL_URL; the same 'metalpool store copy' finishes a copy that was cut short, and 'metalpool store reopen' gives one up"}
}
