package deploy

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/metalpool/metalpool/core"
)

// owed are the answers that an agent owes, the oldest first. Whoever asks for them is
// another goroutine than those that wait.
type owed struct {
	mu    sync.Mutex
	debts []*core.Owed
}

func (o *owed) begin(debt core.Owed) *core.Owed {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.debts = append(o.debts, &debt)
	return &debt
}

// met keeps what the last try came to.
func (o *owed) met(debt *core.Owed, why string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	debt.Why = why
}

func (o *owed) end(debt *core.Owed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.debts = slices.DeleteFunc(o.debts, func(d *core.Owed) bool { return d == debt })
}

func (o *owed) oldest() core.Owed {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.debts) == 0 {
		return core.Owed{}
	}
	return *o.debts[0]
}

// Owes implements core.Agent.
func (c *client) Owes() core.Owed { return c.owed.oldest() }

// inShort is what a connection failed at without the addresses and ports, which are
// others at each try. Of one that just gets no answer nothing is left to be said.
func inShort(err error) string {
	var (
		number  syscall.Errno
		timeout net.Error
	)
	switch {
	case errors.As(err, &number):
		return number.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return ""
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}
