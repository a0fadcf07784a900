package core

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// erase destroys the data of every disk and looks whether it is gone. Only an erase
// that reached the pool's minimum on every disk counts.
func erase(ctx context.Context, w *work) error {
	agent, err := w.agent()
	if err != nil {
		return err
	}
	defer agent.Close()
	var order EraseOrder
	builtIn := 0 // those that the BMC gave no name are not ordered, and must be erased all the same
	for _, d := range w.node.Hardware.Disks {
		if d.Removable {
			continue
		}
		builtIn++
		if d.Key() != "" {
			order.Disks = append(order.Disks, d.Key())
		}
	}
	report, err := agent.Erase(ctx, w.command(stepErase), order, w.moving(stepErase))
	if err == nil {
		err = judge(report, order, builtIn, w.pool.EraseMinimum)
	}
	if Is(err, Backend) {
		// A failed erase is counted before it is tried again under a new command ID.
		if err := w.save(ctx, func(a *Attempt) { a.FailedErases++ }, w.event(StepFailed, stepErase, err.Error()+w.agentsWords(ctx))); err != nil {
			return err
		}
		if w.attempt.FailedErases < maxErases && !errors.Is(err, errBelowMinimum) {
			return erase(ctx, w)
		}
	}
	if err == nil && builtIn == 0 {
		err = w.recordDisks(ctx, agent)
	}
	if err != nil {
		return err
	}
	return w.save(ctx, func(*Attempt) {}, w.event(Erased, stepErase, report.String()))
}

// recordDisks keeps what the agent found where the BMC told of no disk: the next
// clean, and the next deploy, then miss one that is gone.
func (w *work) recordDisks(ctx context.Context, agent Agent) error {
	found, err := agent.Inventory(ctx)
	if err != nil {
		return err
	}
	return w.commit(ctx, func(tx Tx) error {
		n, err := tx.Node(w.node.ID)
		if err != nil {
			return err
		}
		n.Hardware.Disks = found.Hardware.Disks
		return tx.PutSpec(n)
	})
}

// maxErases is how many failed erases quarantine a node.
const maxErases = 3

var errBelowMinimum = errors.New("below the pool's minimum")

// judge decides whether an erase is good enough. A disk that the report leaves out
// was not erased: by its name or, where the BMC knows none, or one name for several,
// by the number of those that are built in.
func judge(r EraseReport, o EraseOrder, builtIn int, minimum EraseClass) error {
	if minimum == NotErased {
		minimum = Clear
	}
	fail := func(disk string, why error) error {
		return &Error{Op: stepErase, Kind: Backend, Err: fmt.Errorf("disk %s: %w", disk, why), Hint: "the node is kept out of the pool; replace the disk, or 'metalpool node repair'"}
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

func (r EraseReport) String() string {
	var lines []string
	for _, d := range r.Disks {
		lines = append(lines, fmt.Sprintf("%s: %s by %s, verified", d.Disk, d.Class, d.Method))
	}
	return strings.Join(lines, "; ")
}
