package campaign

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// History is what the clients were told, kept apart from everything that metalpool keeps:
// who was told that he has which node, and until when he had not asked to give it up.
type History struct {
	mu    sync.Mutex
	holds []*hold
}

// hold is a machine that somebody was told of.
type hold struct {
	ID, Owner, Name, Node string
	// told is when the answer was there, given when he was about to give it up: it was his
	// for longer than that, and so for all of that.
	told, given time.Time
}

// Told writes down that somebody was told of a machine. A node may be told again.
func (h *History) Told(id, owner, name, node string, at time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, known := range h.holds {
		if known.ID != id {
			continue
		}
		if !known.given.IsZero() {
			return fmt.Errorf("%s/%s (%s) was given up, and is told to be on %s", owner, name, id, node)
		}
		if known.Node != node {
			return fmt.Errorf("%s/%s (%s) was told to be on %s, and now on %s", owner, name, id, known.Node, node)
		}
		return nil
	}
	h.holds = append(h.holds, &hold{ID: id, Owner: owner, Name: name, Node: node, told: at})
	return nil
}

// Giving writes down that somebody is about to give a machine up.
func (h *History) Giving(id string, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, known := range h.holds {
		if known.ID == id && known.given.IsZero() {
			known.given = at
		}
	}
}

// held is what was told and not given up.
func (h *History) held() (list []hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, known := range h.holds {
		if known.given.IsZero() {
			list = append(list, *known)
		}
	}
	return list
}

// Twice lists the nodes that two had at one time.
func (h *History) Twice() (found []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	byNode := map[string][]*hold{}
	for _, known := range h.holds {
		byNode[known.Node] = append(byNode[known.Node], known)
	}
	for node, list := range byNode {
		slices.SortFunc(list, func(a, b *hold) int { return a.told.Compare(b.told) })
		for i, later := range list[min(1, len(list)):] {
			if before := list[i]; before.given.IsZero() || later.told.Before(before.given) {
				found = append(found, fmt.Sprintf("%s was told to %s/%s (%s) while %s/%s (%s) had it", node, later.Owner, later.Name, later.ID, before.Owner, before.Name, before.ID))
			}
		}
	}
	slices.Sort(found)
	return found
}

// Lost lists what was told, was not given up, and is not in the pool as it was told:
// machines are what the pool has by ID.
func (h *History) Lost(machines map[string]Machine) (found []string) {
	for _, known := range h.held() {
		m, there := machines[known.ID]
		switch {
		case !there:
			found = append(found, fmt.Sprintf("%s/%s (%s) on %s is not in the pool", known.Owner, known.Name, known.ID, known.Node))
		case m.Node != known.Node || m.Owner != known.Owner || m.Name != known.Name:
			found = append(found, fmt.Sprintf("%s/%s (%s) on %s is %s/%s on %q, %s, in the pool", known.Owner, known.Name, known.ID, known.Node, m.Owner, m.Name, m.Node, m.State))
		case m.State == "Released" || m.State == "Expired":
			found = append(found, fmt.Sprintf("%s/%s (%s) on %s is %s, and nobody has given it up", known.Owner, known.Name, known.ID, known.Node, m.State))
		}
	}
	return found
}

// Machine is a machine as `machine list` prints it.
type Machine struct {
	ID, Owner, Name, Node, State, Reason string
}
