package core

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

var labelPattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_./-]{0,61}[A-Za-z0-9])?$`) })

// The owner's notes are for finding machines, not for storing files.
const (
	maxLabels     = 64
	maxLabelValue = 256 // bytes
)

// CheckLabels refuses with Invalid what could not be written in a condition on labels. op
// is what they are for, and machine whose they are.
func CheckLabels(op, machine string, labels map[string]string) error {
	bad := func(hint, format string, args ...any) error {
		return &Error{Op: op, Allocation: machine, Kind: Invalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	if len(labels) > maxLabels {
		return bad("drop some", "%d labels are more than %d", len(labels), maxLabels)
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if !labelPattern().MatchString(key) {
			return bad("use 1 to 63 letters, digits, dots, dashes, slashes and underscores, and begin and end with a letter or digit", "%q is not a label", key)
		}
		if v := labels[key]; len(v) > maxLabelValue || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' }) {
			return bad("use one line of text", "the value of label %s is longer than %d bytes, or not one line", key, maxLabelValue)
		}
	}
	return nil
}

// Change renames a machine, labels it, or asks other things of it; see Service.
func (e *Engine) Change(ctx context.Context, id AllocationID, c MachineChange) (Machine, error) {
	if c.TTL != nil && *c.TTL < 0 {
		return Machine{}, &Error{Op: "change", Allocation: string(id), Kind: Invalid, Err: errors.New("a machine cannot have ended already"), Hint: "say how long from now, such as 8h; 0 for ever; or release it"}
	}
	if c.Name != nil {
		if err := CheckName("rename", string(id), *c.Name); err != nil {
			return Machine{}, err
		}
	}
	if c.Keys != nil {
		c.Keys = slices.Clone(c.Keys)
		for i, key := range c.Keys {
			c.Keys[i] = strings.TrimSpace(key)
		}
		if err := e.checkKeys(id, c.Keys); err != nil {
			return Machine{}, err
		}
	}
	var a Allocation
	err := e.store.Update(ctx, func(tx Tx) (err error) {
		if a, err = followed(tx, id); err != nil {
			return err
		}
		if a.State.Ended() {
			return &Error{Op: "change", Allocation: a.Name, Kind: Denied, Err: fmt.Errorf("the machine was given up: %s", a.State), Hint: "create a new one"}
		}
		before := a
		if c.Name != nil {
			a.Name = *c.Name
		}
		a.Labels = changedLabels(a.Labels, c.Labels)
		if err := CheckLabels("change", a.Name, a.Labels); err != nil {
			return err
		}
		if c.TTL != nil {
			if a.Until = (time.Time{}); *c.TTL > 0 {
				a.Until = tx.Now().Add(*c.TTL)
			}
		}
		if err := askAnew(tx, &a, c.Request); err != nil {
			return err
		}
		note := changeNote(before, a)
		if note != "" || c.Keys != nil {
			if err := checkLabelled(before, c.Labelled); err != nil {
				return err
			}
		}
		if note == "" {
			return nil
		}
		if err := swapAllocation(tx, &a); err != nil {
			return err
		}
		return tx.AddEvent(Event{Node: a.Node, Allocation: a.ID, Type: Note, Message: note, By: e.process})
	})
	if Is(err, NotFound) {
		err = &Error{Op: "change", Allocation: string(id), Kind: NotFound, Err: errors.New("no allocation has this ID"), Hint: "see 'metalpool machine list'"}
	}
	if err != nil || c.Keys == nil {
		return machineOf(a), err
	}
	// Last, since it may fail on the machine: what the store refuses has changed nothing.
	if err := e.changeKeys(ctx, id, c.Keys); err != nil {
		return machineOf(a), err
	}
	return e.Machine(ctx, id)
}

// askAnew puts another request in the place of the one that a machine was made with.
func askAnew(tx Tx, a *Allocation, r *Request) error {
	if r == nil {
		return nil
	}
	bad := func(hint, format string, args ...any) error {
		return &Error{Op: "change", Allocation: a.Name, Node: a.Node, Kind: Invalid, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	next := *r
	if next.Pool == "" {
		next.Pool = DefaultPool
	}
	if next.Arch == "" {
		next.Arch = a.Request.Arch // by default the image's, which it was made with
	}
	if err := checkRequest("change", a.Name, next); err != nil {
		return err
	}
	if next.Pool != a.Request.Pool {
		return bad("create another one there", "the machine is of pool %q and stays there", a.Request.Pool)
	}
	if !a.State.Owned() {
		return bad("wait until it has one", "the machine has no node yet")
	}
	n, err := tx.Node(a.Node)
	if err != nil {
		return err
	}
	places, err := groupPlaces(tx, Allocation{ID: a.ID, Owner: a.Owner, Request: next})
	if err != nil {
		return err
	}
	if why := unsuited(n, Allocation{Request: next}, places); why != "" {
		return bad("create another machine for it", "its node %s", why)
	}
	a.Request = next
	return nil
}

// checkLabelled refuses a change of what is not as its caller has seen it.
func checkLabelled(a Allocation, want map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if a.Labels[key] != want[key] {
			return &Error{Op: "change", Allocation: a.Name, Node: a.Node, Kind: Busy, Err: fmt.Errorf("its label %s is %q by now, and was %q", key, a.Labels[key], want[key]), Hint: "look at it again: somebody else has changed it"}
		}
	}
	return nil
}

func changedLabels(there map[string]string, change map[string]*string) map[string]string {
	if len(change) == 0 {
		return there
	}
	labels := map[string]string{}
	maps.Copy(labels, there)
	for key, value := range change {
		if value == nil {
			delete(labels, key)
			continue
		}
		labels[key] = *value
	}
	return labels
}

// changeNote tells all that is another than before.
func changeNote(before, after Allocation) string {
	var notes []string
	if before.Name != after.Name {
		notes = append(notes, fmt.Sprintf("%s/%s is called %s now", before.Owner, before.Name, after.Name))
	}
	if !sameJSON(before.Request, after.Request) {
		notes = append(notes, "requirements changed; its node satisfies them")
	}
	if note := untilNote(before.Until, after.Until); note != "" {
		notes = append(notes, note)
	}
	if !maps.Equal(before.Labels, after.Labels) {
		notes = append(notes, "labels changed")
	}
	return strings.Join(notes, "; ")
}
