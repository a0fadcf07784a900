package wire

import (
	"errors"
	"time"
)

// RunOrder is a script. A repeat of it may have other variables: what they are made of
// is looked up anew, and is no part of what is ordered.
type RunOrder struct {
	Text  string            `json:"text"`
	Env   map[string]string `json:"env,omitempty"` // secrets among them
	Files map[string]string `json:"files,omitempty"`
	Limit time.Duration     `json:"limit"` // nanoseconds, after which it is ended
}

func (o RunOrder) validate() error {
	if o.Text == "" || o.Limit <= 0 {
		return errors.New("a script without a text, or without a limit")
	}
	return nil
}

// StatusTimeout is the exit status of a script that was ended at its limit, as timeout(1)
// has it.
const StatusTimeout = 124

// maxSaid bounds what is kept of the beginning, and of the end, of what a script says.
const maxSaid = 16 << 10

// Ran is how a script has ended, and the first and the last of what is written to it.
type Ran struct {
	Status int    `json:"status"`
	Head   []byte `json:"head,omitempty"`
	Tail   []byte `json:"tail,omitempty"`
	Left   int64  `json:"left,omitempty"` // bytes between them that were not kept
}

// Write never fails.
func (r *Ran) Write(p []byte) (int, error) {
	n := len(p)
	take := min(maxSaid-len(r.Head), len(p))
	r.Head, p = append(r.Head, p[:take]...), p[take:]
	r.Tail = append(r.Tail, p...)
	if over := len(r.Tail) - maxSaid; over > 0 {
		r.Left += int64(over)
		r.Tail = append([]byte(nil), r.Tail[over:]...)
	}
	return n, nil
}
