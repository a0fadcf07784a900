package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// choose finds the cheapest claimable node of a pool for a request within the transaction. Where
// there is none it does not say why: that takes a look at every node, which nobody is
// to wait for who wants to write; see explained.
func choose(tx Tx, pool Pool, a Allocation) (Node, error) {
	ahead, err := queueAhead(tx, a)
	if err != nil {
		return Node{}, err
	}
	places, err := groupPlaces(tx, a)
	if err != nil {
		return Node{}, err
	}
	best, found := Node{}, false
	for n, err := range tx.Candidates(a.Request.Pool) {
		if err != nil {
			return Node{}, err
		}
		if refusal(n, pool, a, ahead, places) != "" {
			continue
		}
		if !found || places.count(n) < places.count(best) {
			best, found = n, true
		}
		if places.indifferent() || places.count(best) == 0 {
			break
		}
	}
	if found {
		return best, nil
	}
	return Node{}, &Error{Op: "acquire", Allocation: a.Name, Kind: NoCapacity, Err: &unfitError{a}, Hint: "see 'metalpool node list'"}
}

// unfitError is that no node could be claimed for an allocation, and nobody has looked
// yet why.
type unfitError struct{ a Allocation }

func (u *unfitError) Error() string { return "no node fits and is free" }

// explained says why no node could be claimed, where err is that none could. A node
// that became free in between is an explanation, too: try again.
func (e *Engine) explained(ctx context.Context, err error) error {
	var unfit *unfitError
	if !errors.As(err, &unfit) {
		return err
	}
	viewErr := e.store.View(context.WithoutCancel(ctx), func(tx Tx) error {
		why, viewErr := noCapacity(tx, unfit.a)
		if viewErr == nil {
			err = why
		}
		return viewErr
	})
	if viewErr != nil {
		e.log.Warn("why no node fits is not known", "error", viewErr)
	}
	return err
}

// refusal says why an Available node is not for this allocation; "" takes it.
func refusal(n Node, pool Pool, a Allocation, ahead []waiter, p places) string {
	if why := unsuited(n, a, p); why != "" {
		return why
	}
	if why := n.Spec.Erasures.below(pool.EraseMinimum); why != "" {
		return why
	}
	for _, w := range ahead {
		if unsuited(n, w.Allocation, w.places) == "" {
			return "is for " + w.Name + queuedFirst
		}
	}
	return ""
}

// queuedFirst ends the reason that passes.
const queuedFirst = ", which queued first"

// unsuited says why a node would not do for an allocation even if it were Available
// and nobody else wanted it.
func unsuited(n Node, a Allocation, p places) string {
	if why := Mismatch(n, a.Request); why != "" {
		return why
	}
	for _, moved := range a.Moves {
		if moved == n.ID {
			return "failed this machine"
		}
	}
	if p.mode == Together && len(p.counts) > 0 && p.counts[n.Spec.Labels[p.key]] == 0 {
		return fmt.Sprintf("is in another %s than the rest of its group", p.key)
	}
	return ""
}

// waiter is an allocation in the queue, and where its group is.
type waiter struct {
	Allocation
	places places
}

// queueAhead lists the waiting allocations that came before a and whose waiters
// are alive.
func queueAhead(tx Tx, a Allocation) ([]waiter, error) {
	var ahead []waiter
	for w, err := range tx.Allocations(AllocationFilter{Pool: a.Request.Pool, States: []State{Waiting}}) {
		if err != nil {
			return nil, err
		}
		first := a.CreatedAt.IsZero() || w.CreatedAt.Before(a.CreatedAt) || (w.CreatedAt.Equal(a.CreatedAt) && w.ID < a.ID)
		if w.ID != a.ID && first && w.Deadline.After(tx.Now()) {
			ahead = append(ahead, waiter{Allocation: w})
		}
	}
	for i := range ahead {
		var err error
		if ahead[i].places, err = groupPlaces(tx, ahead[i].Allocation); err != nil {
			return nil, err
		}
	}
	return ahead, nil
}

// places counts the machines of a placement group by place.
type places struct {
	key    string
	mode   PlaceMode
	counts map[string]int
}

func (p places) indifferent() bool { return p.mode != Spread }

func (p places) count(n Node) int { return p.counts[n.Spec.Labels[p.key]] }

func groupPlaces(tx Tx, a Allocation) (places, error) {
	place := a.Request.Place
	p := places{key: place.Key, mode: place.Mode, counts: map[string]int{}}
	if place.Mode == "" {
		return p, nil
	}
	var nodes []NodeID
	for other, err := range tx.Allocations(AllocationFilter{Owner: a.Owner, Pool: a.Request.Pool, Live: true}) {
		if err != nil {
			return p, err
		}
		if other.ID != a.ID && other.Node != "" && other.Request.Place.Group == place.Group {
			nodes = append(nodes, other.Node)
		}
	}
	for _, id := range nodes {
		n, err := tx.Node(id)
		if err != nil {
			return p, err
		}
		p.counts[n.Spec.Labels[place.Key]]++
	}
	return p, nil
}

// noCapacity explains, node by node, why nothing could be claimed.
func noCapacity(tx Tx, a Allocation) (why, err error) {
	all, err := candidates(tx, a)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return &Error{Op: "acquire", Allocation: a.Name, Kind: NoCapacity, Err: fmt.Errorf("pool %q has no nodes", a.Request.Pool), Hint: "enroll some with 'metalpool node enroll', or name another pool ('metalpool pool list')"}, nil
	}
	if a.Request.Node != "" {
		if all, err = only(tx, a, all); err != nil {
			return nil, err
		}
	}
	soon := 0
	states := map[State]int{}
	reasons := map[string][]NodeID{}
	for _, c := range all {
		if c.Fits || c.Passes {
			soon++
		}
		switch {
		case c.Fits:
			reasons["has just become free"] = append(reasons["has just become free"], c.Node)
		case c.Why == "":
			states[c.State]++
		default:
			reasons[c.Why] = append(reasons[c.Why], c.Node)
		}
	}
	hint := "see 'metalpool node list'"
	if soon > 0 {
		hint = "wait for one " + AdviceWait + ", or " + hint
	}
	return &Error{Op: "acquire", Allocation: a.Name, Kind: NoCapacity, Err: &ShortageError{Node: a.Request.Node, Total: len(all), May: soon, Why: shortage(states, reasons)}, Hint: hint}, nil
}

// only is the one candidate that was asked for by its name, and whose it is where it is
// somebody's. Other owners are not named: not everybody may know who they are.
func only(tx Tx, a Allocation, all []Candidate) ([]Candidate, error) {
	i := slices.IndexFunc(all, func(c Candidate) bool { return c.Node == a.Request.Node })
	if i < 0 {
		return all, nil
	}
	one := all[i]
	n, err := tx.Node(one.Node)
	if err != nil || one.Why != "" || one.Fits {
		return []Candidate{one}, err
	}
	one.Why = "is " + strings.ToLower(string(one.State))
	if n.Allocation != "" {
		holder, err := tx.Allocation(n.Allocation)
		if err != nil {
			return nil, err
		}
		if one.Why += ", and another owner's"; holder.Owner == a.Owner {
			one.Why = "is " + strings.ToLower(string(one.State)) + " for " + holder.Owner + "/" + holder.Name
		}
	}
	return []Candidate{one}, nil
}

// ShortageError is the reason of a NoCapacity error.
type ShortageError struct {
	Node  NodeID   // the one that was asked for; empty: any
	Total int      // nodes of the pool
	May   int      // that fit, and are only taken or being cleaned now
	Why   []string // the nodes' reasons, most frequent first
}

func (s *ShortageError) Error() string {
	if s.Node != "" {
		return strings.Join(s.Why, ", ")
	}
	return fmt.Sprintf("0 of %d nodes match (%s)", s.Total, strings.Join(s.Why, ", "))
}

func shortage(states map[State]int, reasons map[string][]NodeID) []string {
	var lines []string
	for _, s := range NodeStates {
		if n := states[s]; n > 0 {
			lines = append(lines, fmt.Sprintf("%d %s", n, strings.ToLower(string(s))))
		}
	}
	whys := make([]string, 0, len(reasons))
	for why := range reasons {
		whys = append(whys, why)
	}
	sort.Slice(whys, func(i, j int) bool {
		if a, b := len(reasons[whys[i]]), len(reasons[whys[j]]); a != b {
			return a > b
		}
		return whys[i] < whys[j]
	})
	for _, why := range whys {
		lines = append(lines, nameNodes(reasons[why])+" "+ofSeveral(why, len(reasons[why])))
	}
	return lines
}

// ofSeveral is what is said of one node, said of so many.
func ofSeveral(why string, count int) string {
	verb, rest, _ := strings.Cut(why, " ")
	if many, ok := map[string]string{"has": "have", "is": "are", "was": "were"}[verb]; ok && count > 1 {
		return many + " " + rest
	}
	return why
}

// nameNodes names up to three nodes, and counts the rest.
func nameNodes(ids []NodeID) string {
	if len(ids) <= 3 {
		return join(ids, ", ")
	}
	return fmt.Sprintf("%s and %d more", join(ids[:2], ", "), len(ids)-2)
}

// expireStale lets go of allocations that were never deployed in time, but for spared,
// whose caller is here. It is run where somebody may be refused on their account.
func (e *Engine) expireStale(tx Tx, spared AllocationID) (int, error) {
	stale, err := staleOf(tx, spared)
	if err != nil {
		return 0, err
	}
	for _, a := range stale {
		if err := e.expire(tx, a); err != nil {
			return 0, err
		}
	}
	return len(stale), nil
}

// staleOf lists what is past its deadline.
func staleOf(tx Tx, spared AllocationID) (stale []Allocation, err error) {
	for a, err := range tx.Allocations(AllocationFilter{States: []State{Allocated, Waiting}}) {
		if err != nil {
			return nil, err
		}
		if a.ID != spared && !a.Deadline.IsZero() && !tx.Now().Before(a.Deadline) {
			stale = append(stale, a)
		}
	}
	return stale, nil
}

func (e *Engine) expire(tx Tx, a Allocation) error {
	why := "not deployed by " + a.Deadline.UTC().Format(time.RFC3339)
	if a.State == Waiting {
		a.State, a.EndedAt, a.Reason = Expired, tx.Now(), "its waiter was gone by "+a.Deadline.UTC().Format(time.RFC3339)
		if err := swapAllocation(tx, &a); err != nil {
			return err
		}
		return tx.AddEvent(Event{Allocation: a.ID, Type: StateChanged, From: Waiting, To: Expired, On: Expire, Message: a.Reason, By: e.process})
	}
	n, err := tx.Node(a.Node)
	if err != nil {
		return err
	}
	return e.advance(tx, &n, &a, Expire, why)
}
