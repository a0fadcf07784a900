package record

import (
	"context"
	"errors"
	"fmt"
)

// Use is how far a transaction may be used.
type Use struct {
	Ended   bool
	Drained string // what reads the rows of an iterator that is still open; "" where none is
	Failed  error  // the first statement that broke
}

// Usable refuses a call that no store could serve, or that nobody waits for.
func (u *Use) Usable(ctx context.Context) error {
	switch {
	case u.Ended:
		return Broken("use a transaction", errors.New("it has ended"))
	case u.Drained != "":
		return Broken("use a transaction", fmt.Errorf("the iterator of %q is still open; leave its loop first", u.Drained))
	case u.Failed != nil:
		return u.Failed
	}
	return ctx.Err()
}
