package campaign

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/metalpool/metalpool/internal/pgtest"
)

// database is the PostgreSQL of a campaign, which several faults may have stopped at one
// time: it is started again when the last of them heals.
type database struct {
	server *pgtest.Server

	mu    sync.Mutex
	down  int
	ahead time.Duration // its clock, of the kernel's
}

// stop stops it, for one fault more, and steps its clock for when it comes back.
func (d *database) stop(how syscall.Signal, step time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down++
	err := d.server.Stop(how) // which is none where it is stopped already
	if step != 0 {
		d.ahead += step
		err = errors.Join(err, d.server.SetClock(d.ahead))
	}
	return err
}

// start starts it, unless another fault keeps it down.
func (d *database) start() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down--; d.down > 0 {
		return nil
	}
	return d.server.Start()
}
