package core

import (
	"context"
	"strings"
)

// Candidate is what a node is to a request.
type Candidate struct {
	Node  NodeID `json:"node"`
	State State  `json:"state"`
	Fits  bool   `json:"fits"` // it could be claimed now
	// Why is what the node lacks, or who comes first. It is empty where the node fits,
	// and where nothing but its State stands in the way.
	Why    string `json:"why,omitempty"`
	Passes bool   `json:"passes"` // what stands in the way may pass by itself
}

// Match tells which nodes of the request's pool would do, those that fit first, and of
// each other one why not. It allocates nothing.
func (e *Engine) Match(ctx context.Context, o Order) ([]Candidate, error) {
	o = o.withDefaults()
	asked := o // its refusals name only what the caller named
	if o.Name == "" {
		o.Name = "match"
	}
	if o.ID == "" {
		o.ID = "match"
	}
	if err := validate(o); err != nil {
		return nil, err
	}
	var list []Candidate
	err := e.store.View(ctx, func(tx Tx) error {
		if err := nodeAsked(tx, asked); err != nil {
			return err
		}
		all, err := candidates(tx, Allocation{ID: o.ID, Owner: o.Owner, Name: o.Name, Request: o.Request})
		if err != nil {
			return err
		}
		list = nil
		for _, fits := range []bool{true, false} {
			for _, c := range all {
				if c.Fits == fits {
					list = append(list, c)
				}
			}
		}
		return nil
	})
	return list, err
}

// candidates judges every node of a request's pool.
func candidates(tx Tx, a Allocation) ([]Candidate, error) {
	ahead, err := queueAhead(tx, a)
	if err != nil {
		return nil, err
	}
	p, err := groupPlaces(tx, a)
	if err != nil {
		return nil, err
	}
	pool, err := findPool(tx, a.Request.Pool)
	if err != nil {
		return nil, err
	}
	var all []Candidate
	for n, err := range tx.Nodes(NodeFilter{Pool: a.Request.Pool}) {
		if err != nil {
			return nil, err
		}
		c := Candidate{Node: n.ID, State: n.State}
		if n.State == Available {
			c.Why = refusal(n, pool, a, ahead, p)
			c.Fits = c.Why == ""
			c.Passes = strings.HasSuffix(c.Why, queuedFirst) // that one may leave the queue, or get another node
		} else {
			c.Why = unsuited(n, a, p)
			c.Passes = c.Why == "" && n.State != Quarantined && n.State != Maintenance
		}
		all = append(all, c)
	}
	return all, nil
}
