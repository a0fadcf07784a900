package core

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// erase destroys the data of every disk and looks whether it is gone. Only an erase
// that reached the pool's minimum on every disk counts.
func erase(ctx context.Context, w *work) error {
	agent, err := w.agent()
	if err != nil {
		return err
	}
	if err := w.readVolumes(ctx); err != nil {
		return err
	}
	var order EraseOrder
	// Those that the BMC gave no name are not ordered, and must be erased all the same.
	builtIn := len(w.node.volumes())
	for _, d := range w.node.bareDisks() {
		if d.Removable {
			continue
		}
		builtIn++
		if d.Key() != "" {
			order.Disks = append(order.Disks, d.Key())
		}
	}
	report, err := agent.Erase(ctx, w.command(stepErase), order, w.moving(ctx, stepErase))
	if err == nil {
		err = judge(report, order, builtIn, w.pool)
	}
	if Is(err, Backend) {
		// A failed erase is counted before it is tried again under a new command ID.
		failed := w.event(StepFailed, stepErase, reason(err, stepErase, w.node.ID)+w.agentsWords(ctx, stepErase))
		if err := w.keepErase(ctx, report, nil, func(a *Attempt) { a.FailedErases, a.EraseFault = a.FailedErases+1, cause(err) }, failed); err != nil {
			return err
		}
		if w.attempt.FailedErases < maxErases && !errors.Is(err, errBelowMinimum) {
			w.say(stepErase, "%s; erasing once more", w.node.Spec.EraseFault)
			return erase(ctx, w)
		}
	}
	if err != nil {
		return err
	}
	var found []Disk
	if builtIn == 0 {
		// The BMC told of no disk. What the agent finds is kept: the next clean, and the
		// next deploy, then miss one that is gone.
		inventory, err := agent.Inventory(ctx)
		if err != nil {
			return err
		}
		found = inventory.Hardware.Disks
	}
	story := report.String()
	if w.attempt.FailedErases > 0 {
		story += "; " + w.attempt.eraseFault(true)
	}
	return w.keepErase(ctx, report, found, func(*Attempt) {}, w.event(Erased, stepErase, story))
}

// cause is why something failed, without what was asked and what to do.
func cause(err error) string {
	if e, ok := outermost(err); ok && e.Err != nil {
		err = e.Err
	}
	return err.Error()
}

// eraseFault tells of the erases that failed in this clean, "" where none did.
func (a Attempt) eraseFault(verified bool) string {
	switch {
	case a.FailedErases == 0:
		return ""
	case verified && a.FailedErases == 1:
		return "1 erase failed before one was verified: " + a.EraseFault
	case verified:
		return fmt.Sprintf("%d erases failed before one was verified, the last: %s", a.FailedErases, a.EraseFault)
	}
	return fmt.Sprintf("erase %d of at most %d failed: %s", a.FailedErases, maxErases, a.EraseFault)
}

// keepErase writes what an erase came to, in one transaction: the attempt, the event,
// and what the node's disks are known to have reached. found replaces the disks of the
// inventory, where there are any.
func (w *work) keepErase(ctx context.Context, r EraseReport, found []Disk, change func(a *Attempt), ev Event) error {
	a := w.attempt
	change(&a)
	fault := ""
	err := w.commit(ctx, func(tx Tx) error {
		n, err := tx.Node(w.node.ID)
		if err != nil {
			return err
		}
		n.Spec.Erasures = n.Spec.Erasures.after(r, tx.Now())
		n.Spec.EraseFault = a.eraseFault(ev.Type == Erased)
		fault = n.Spec.EraseFault
		if len(found) > 0 {
			n.Hardware.Disks = found
		}
		if err := tx.PutSpec(n); err != nil {
			return err
		}
		if err := tx.AddEvent(ev); err != nil {
			return err
		}
		return tx.PutAttempt(a)
	})
	if err == nil {
		w.attempt, w.node.Spec.EraseFault = a, fault
	}
	return err
}

// Erasure is how a disk was last erased, and verified to be.
type Erasure struct {
	Disk   string     `json:"disk"` // serial or WWN
	Class  EraseClass `json:"class"`
	Method string     `json:"method"`
	At     time.Time  `json:"at"`
}

// Erasures are those of a node's disks, in the order of the last report.
type Erasures []Erasure

// Of finds that of a disk.
func (e Erasures) Of(d Disk) (Erasure, bool) {
	for _, one := range e {
		if one.Disk != "" && (one.Disk == d.Serial || one.Disk == d.WWN) {
			return one, true
		}
	}
	return Erasure{}, false
}

// after keeps what a report says of disks that were verified. Of those that failed,
// what was known stays; those that it does not name are gone.
func (e Erasures) after(r EraseReport, now time.Time) Erasures {
	if len(r.Disks) == 0 {
		return e // nobody looked
	}
	var kept Erasures
	for _, d := range r.Disks {
		if d.Err == "" && d.Verified {
			kept = append(kept, Erasure{Disk: d.Disk, Class: d.Class, Method: d.Method, At: now})
		} else if before, known := e.Of(Disk{Serial: d.Disk}); known {
			kept = append(kept, before)
		}
	}
	return kept
}

// below says why they are too little for a pool's minimum; "" where they are not. The
// clean of an Available node was judged by the pool and the minimum of then.
func (e Erasures) below(minimum EraseClass) string {
	if minimum.Rank() <= Clear.Rank() {
		return ""
	}
	const again = "; 'metalpool node maintenance' and then '--off' erases it again"
	for _, one := range e {
		if one.Class.Rank() < minimum.Rank() {
			return fmt.Sprintf("was erased to %s, below the pool's minimum of %s by now", one.Class, minimum) + again
		}
	}
	if len(e) == 0 {
		return fmt.Sprintf("has no record of an erase to the pool's minimum of %s", minimum) + again
	}
	return ""
}

// maxErases is how many failed erases quarantine a node.
const maxErases = 3

var errBelowMinimum = errors.New("below the pool's minimum")

// judge decides whether an erase is good enough. A disk that the report leaves out
// was not erased: by its name or, where the BMC knows none, or one name for several,
// by the number of those that are built in.
func judge(r EraseReport, o EraseOrder, builtIn int, p Pool) error {
	minimum := p.EraseMinimum
	if minimum == NotErased {
		minimum = Clear
	}
	fail := func(disk string, why error) error {
		hint := "the node is kept out of the pool; replace the disk, or 'metalpool node repair'"
		if errors.Is(why, errBelowMinimum) {
			hint = fmt.Sprintf("the disk can do no better: replace it, or move the node to a pool with a lower minimum ('metalpool node set --pool'), or lower this one's ('metalpool pool set %s --erase-minimum %s'); then 'metalpool node repair'", p.Name, Clear)
		}
		return &Error{Op: stepErase, Kind: Backend, Err: fmt.Errorf("disk %s: %w", disk, why), Hint: hint}
	}
	done := map[string]bool{}
	for _, d := range r.Disks {
		switch {
		case d.Err != "":
			return fail(d.Disk, errors.New(d.Err))
		case !d.Verified:
			return fail(d.Disk, fmt.Errorf("%s was not verified", d.Method))
		case d.Class.Rank() < minimum.Rank():
			return fail(d.Disk, fmt.Errorf("%s reached %q, %w %q", d.Method, d.Class, errBelowMinimum, minimum))
		}
		done[d.Disk] = true
	}
	if len(done) == 0 {
		return fail("(none)", errors.New("the agent saw no disk, so nothing says that the data is gone"))
	}
	for _, d := range o.Disks {
		if !done[d] {
			return fail(d, errors.New("was not erased"))
		}
	}
	if len(r.Disks) < builtIn {
		return fail("(unnamed)", fmt.Errorf("the inventory has %d disks, and %d were erased", builtIn, len(r.Disks)))
	}
	return nil
}

// String tells of an erase that was verified.
func (r EraseReport) String() string {
	var lines []string
	for _, d := range r.Disks {
		lines = append(lines, fmt.Sprintf("%s: %s by %s, verified", d.Disk, d.Class, d.Method))
	}
	for _, what := range r.Reset {
		lines = append(lines, "reset: "+what)
	}
	return strings.Join(lines, "; ")
}
