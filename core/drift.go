package core

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// Drift is how a server has come to differ from what its pool's profile sets up, and from
// what was enrolled.
type Drift struct {
	Node    NodeID    `json:"node"`
	Pool    string    `json:"pool"`
	State   State     `json:"state"`
	Profile string    `json:"profile,omitempty"` // that was compared with; empty: none
	Differs []Drifted `json:"differs,omitempty"`
	// Unknown is what could not be compared, and why.
	Unknown []Uncompared `json:"unknown,omitempty"`
	// Again is that the node is Quarantined because it could not be set up, so that it may
	// be tried again.
	Again bool `json:"again,omitempty"`
}

// Drifted is one thing that is not as it should be.
type Drifted struct {
	Of string `json:"of"` // the step that wants it so; OfInventory, of what was enrolled
	Difference
}

// Uncompared is a step, or OfInventory, that could not be compared.
type Uncompared struct {
	Of  string `json:"of"`
	Why string `json:"why"`
}

// OfInventory is what a server's parts are compared with: what it had when it was enrolled.
const OfInventory = "inventory"

// Drift compares a server with its profile, and with what was enrolled. It only reads, and
// asks the BMC alone. A node at work is Busy: what is set up just then differs.
func (e *Engine) Drift(ctx context.Context, id NodeID) (Drift, error) {
	var n Node
	d := Drift{Node: id}
	var steps []Step
	err := e.store.View(ctx, func(tx Tx) (err error) {
		if n, err = resting(tx, "compare", id); err != nil {
			return err
		}
		if d.Again, err = preparedInVain(tx, n); err != nil {
			return err
		}
		d.Profile, steps, err = wantedOf(tx, n)
		return err
	})
	if err != nil {
		return d, err
	}
	d.Pool, d.State = n.Pool, n.State
	ctx, cancel := context.WithTimeout(ctx, compareLimit)
	defer cancel()
	err = e.compare(ctx, n, steps, &d)
	return d, withNode(err, id)
}

// resting finds a node whose BMC is asked what the server is set to. One at work is Busy.
func resting(tx Tx, op string, id NodeID) (Node, error) {
	n, err := tx.Node(id)
	switch {
	case Is(err, NotFound):
		return n, noSuchNode(tx, op, id)
	case err == nil && n.State.Working():
		err = &Error{Op: op, Node: id, Kind: Busy, Err: fmt.Errorf("it is %s, and may be set up just now", n.State), Hint: "ask again once that is done"}
	}
	return n, err
}

// compareLimit is how long a BMC may take to tell all, which is some dozens of requests.
const compareLimit = 5 * time.Minute

func (e *Engine) compare(ctx context.Context, n Node, steps []Step, d *Drift) error {
	bmc, err := e.connect(ctx, n, nil)
	if err != nil {
		return err
	}
	defer bmc.Close()
	for _, s := range steps {
		differs, err := s.about().setting(s).compare(ctx, bmc)
		switch {
		case Is(err, Transient, Timeout) || ctx.Err() != nil:
			return err // it would not answer the next question either
		case err != nil:
			d.Unknown = append(d.Unknown, Uncompared{s.Name, err.Error()})
		}
		for _, one := range differs {
			d.Differs = append(d.Differs, Drifted{s.Name, one})
		}
	}
	found, err := bmc.Inspect(ctx)
	switch {
	case Is(err, Transient, Timeout) || ctx.Err() != nil:
		return err
	case err != nil:
		d.Unknown = append(d.Unknown, Uncompared{OfInventory, err.Error()})
		return nil
	}
	for _, one := range lost(n.Hardware, found.Hardware) {
		d.Differs = append(d.Differs, Drifted{OfInventory, one})
	}
	return nil
}

// wantedOf are the settings that a node is to have: those of the profile that its machine
// was ordered with, else of its pool's.
func wantedOf(tx Tx, n Node) (profile string, steps []Step, err error) {
	p, err := findPool(tx, n.Pool)
	if err != nil {
		return "", nil, err
	}
	profile = p.Profile
	if n.Allocation != "" {
		a, err := tx.Allocation(n.Allocation)
		if err != nil {
			return "", nil, err
		}
		if a.Order != nil {
			profile = cmp.Or(a.Order.Profile, profile)
		}
	}
	all, err := profileSteps(tx, profile)
	for _, s := range stepsFor(n, all) {
		if s.about().setting != nil {
			steps = append(steps, s)
		}
	}
	return profile, steps, err
}

// lost is what of a server's parts is gone. More is no loss, and what a BMC does not tell
// is unknown: it may tell it only while the server is on.
func lost(enrolled, found Hardware) (all []Difference) {
	if len(found.Disks) > 0 {
		for _, key := range missingDisks(enrolled.Disks, found.Disks) {
			all = append(all, Difference{Name: "disk " + key, Wanted: "there", Found: "missing"})
		}
	}
	if found.Memory > 0 && found.Memory < enrolled.Memory {
		all = append(all, Difference{Name: "memory", Wanted: enrolled.Memory.String(), Found: found.Memory.String()})
	}
	if found.CPUs > 0 && found.CPUs < enrolled.CPUs {
		all = append(all, Difference{Name: "CPUs", Wanted: fmt.Sprint(enrolled.CPUs), Found: fmt.Sprint(found.CPUs)})
	}
	if len(found.GPUs) > 0 && len(found.GPUs) < len(enrolled.GPUs) {
		all = append(all, Difference{Name: "GPUs", Wanted: fmt.Sprint(len(enrolled.GPUs)), Found: fmt.Sprint(len(found.GPUs))})
	}
	return all
}
