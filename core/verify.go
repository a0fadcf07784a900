package core

import (
	"context"
	"fmt"
)

// Violation is a broken invariant that Verify found in a live store.
type Violation struct {
	Invariant  string       `json:"invariant"`
	Node       NodeID       `json:"node,omitempty"`
	Allocation AllocationID `json:"allocation,omitempty"`
	What       string       `json:"what"`
	Next       string       `json:"next"` // what to do about it
}

// SelfChecker is a store that can look whether its own files are whole. It returns
// what is wrong, one line each, and changes nothing.
type SelfChecker interface {
	SelfCheck(ctx context.Context) ([]string, error)
}

// Verify looks whether the invariants hold in one consistent view of the store, and
// whether that is whole. It changes nothing, and may run beside everything else.
func (e *Engine) Verify(ctx context.Context) ([]Violation, error) {
	var found []Violation
	if s, ok := e.store.Store.(SelfChecker); ok {
		damage, err := s.SelfCheck(ctx)
		if err != nil {
			return nil, err
		}
		for _, what := range damage {
			found = append(found, Violation{Invariant: invariantWhole, What: what, Next: nextDamaged})
		}
	}
	var p picture
	err := e.store.View(ctx, func(tx Tx) (err error) {
		p, err = takePicture(tx)
		return err
	})
	if err != nil && len(found) > 0 {
		return append(found, Violation{Invariant: invariantWhole, What: "the rest was not looked at: " + err.Error(), Next: nextDamaged}), nil
	}
	if err != nil {
		return nil, err
	}
	open := func(Sealed) error { return nil }
	if e.sealer != nil {
		open = func(s Sealed) error {
			_, err := e.sealer.Open(s)
			return err
		}
	}
	return append(found, p.violations(open)...), nil
}

// takePicture reads all that the invariants are about.
func takePicture(tx Tx) (picture, error) {
	p := picture{now: tx.Now(), leases: map[NodeID]Lease{}, attempts: map[AttemptID]Attempt{}, stories: map[NodeID]*story{}}
	var err error
	if p.nodes, err = collect(tx.Nodes(NodeFilter{})); err != nil {
		return p, err
	}
	for a, err := range tx.Allocations(AllocationFilter{}) {
		switch {
		case err != nil:
			return p, err
		case a.State.Ended():
			// Their rows stay for ever, and there is nothing to say of most.
			if a.keepsSecrets() {
				p.ended = append(p.ended, a)
			}
		default:
			p.live = append(p.live, a)
		}
	}
	if p.authorities, err = collect(tx.Authorities()); err != nil {
		return p, err
	}
	for l, err := range tx.Leases() {
		if err != nil {
			return p, err
		}
		p.leases[l.Node] = l
	}
	current := map[AttemptID]bool{}
	for _, n := range p.nodes {
		current[n.Attempt] = true
	}
	for at, err := range tx.Attempts() {
		if err != nil {
			return p, err
		}
		if current[at.ID] || at.EndedAt.IsZero() || at.keepsSecrets() {
			p.attempts[at.ID] = at
		}
	}
	for ev, err := range tx.Events(EventFilter{Whole: true}) {
		if err != nil {
			return p, err
		}
		if ev.Node != "" {
			p.story(ev.Node).tell(ev)
		}
	}
	return p, nil
}

// story is what the events told of a node, one by one and in their order.
type story struct {
	told   bool // any change of state
	state  State
	seq    int64 // of the last change of state
	broken string
	// touched says since when the node may hold what is not its next owner's to see; ""
	// after a clean whose verification passed.
	touched    string
	erased     bool // since the clean under way began
	generation uint64
	back       string // where a generation went back
}

func newStory() *story { return &story{touched: "no event tells of a clean"} }

func (s *story) tell(ev Event) {
	if ev.Generation > 0 && ev.Generation < s.generation && s.back == "" {
		s.back = fmt.Sprintf("event %d was written under generation %d, after one under generation %d", ev.Seq, ev.Generation, s.generation)
	}
	s.generation = max(s.generation, ev.Generation)
	switch ev.Type {
	case StateChanged:
	case Erased:
		s.erased = true
		return
	case LeftOut:
		s.resume(ev)
		return
	default:
		return
	}
	if s.told && s.state != ev.From && ev.From != Unborn && s.broken == "" {
		s.broken = fmt.Sprintf("event %d takes it from %s, and event %d had left it %s", ev.Seq, ev.From, s.seq, s.state)
	}
	s.told, s.state, s.seq = true, ev.To, ev.Seq
	switch {
	case ev.To == Deploying, ev.From == Unborn, ev.To == Maintenance:
		s.touched = fmt.Sprintf("it was touched (%s at event %d)", ev.On, ev.Seq)
	case ev.To == Cleaning:
		s.erased = false
	case ev.From == Cleaning && ev.To == Available && s.erased:
		s.touched = ""
	}
}
