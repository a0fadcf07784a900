package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// A small world, so that callers meet: some nodes in a pool, two owners who have names
// and a quota there, and allocation IDs. Owners stay in one pool, so that nothing that
// happens in one has to do with another: a history is checked pool by pool.
const (
	worldNodes = 3
	worldQuota = 2 // of each owner
	worldIDs   = 128
)

// An order is a function of its ID, as that of a caller who asks again is. Twisted, it
// is what somebody else asks for under the same ID.
type order struct {
	ID    int
	Twist bool
}

func (o order) owner() int { return o.ID % 2 }
func (o order) name() int  { return o.ID / 2 % 3 }

// node is the one that is asked for, or none.
func (o order) node() (node int, asked bool) {
	if (o.ID%5 == 4) != o.Twist {
		return o.ID % worldNodes, true
	}
	return 0, false
}

func (o order) fits(node int) bool {
	wanted, asked := o.node()
	return !asked || wanted == node
}

// sameAs reports whether both ask for the same. IDs are not part of that.
func (o order) sameAs(other order) bool {
	a, askedA := o.node()
	b, askedB := other.node()
	return o.owner() == other.owner() && o.name() == other.name() && askedA == askedB && a == b
}

type verb string

const (
	acquire verb = "acquire"
	release verb = "release"
	find    verb = "find"  // by ID
	named   verb = "named" // by owner and name
)

// call is what a caller asks of a pool.
type call struct {
	Pool int
	Verb verb
	order
}

func (c call) String() string {
	text := fmt.Sprintf("%s %d", c.Verb, c.ID)
	if c.Twist {
		text += " twisted"
	}
	if node, asked := c.node(); asked && c.Verb == acquire {
		text += fmt.Sprintf(" on n%d", node)
	}
	return text
}

// answer is what it is told.
type answer struct {
	Says verdict
	// Held and Node are whose allocation it is, and where; of held alone.
	Held int
	Node int
}

type verdict string

const (
	held    verdict = "held"
	full    verdict = "no capacity"
	taken   verdict = "exists"
	over    verdict = "over quota"
	nothing verdict = "not found"
	gone    verdict = "ended"
	// busy is a refusal that promises to have changed nothing.
	busy verdict = "busy"
	// unheard is an answer that never came: it may have happened, happen yet, or never.
	unheard verdict = "unheard"
)

func (a answer) String() string {
	if a.Says == held {
		return fmt.Sprintf("%d holds n%d", a.Held, a.Node)
	}
	return string(a.Says)
}

// world is a pool as its callers know it. It is comparable.
type world struct {
	holder [worldNodes]tenant
	ended  [worldIDs / 64]uint64 // a set of IDs
}

type tenant struct {
	there bool
	order
}

func (w world) isEnded(id int) bool { return w.ended[id/64]&(1<<(id%64)) != 0 }

func (w world) end(id int) world {
	w.ended[id/64] |= 1 << (id % 64)
	return w
}

// where finds the node of whom it is true.
func (w world) where(of func(o order) bool) (node int, found bool) {
	node = slices.IndexFunc(w.holder[:], func(t tenant) bool { return t.there && of(t.order) })
	return node, node >= 0
}

func (w world) byID(id int) (node int, found bool) {
	return w.where(func(o order) bool { return o.ID == id })
}

func (w world) byName(asked order) (node int, found bool) {
	return w.where(func(o order) bool { return o.owner() == asked.owner() && o.name() == asked.name() })
}

// told is an answer, and the world after it.
type told struct {
	answer
	world
}

// may lists all that a call may come to.
func (w world) may(c call) []told {
	unchanged := func(says verdict) []told { return []told{{answer{Says: says}, w}} }
	holds := func(node int) []told {
		return []told{{answer{held, w.holder[node].ID, node}, w}}
	}
	switch c.Verb {
	case find:
		if node, found := w.byID(c.ID); found {
			return holds(node)
		}
		if w.isEnded(c.ID) {
			return unchanged(gone)
		}
		return unchanged(nothing)
	case named:
		if node, found := w.byName(c.order); found {
			return holds(node)
		}
		return unchanged(nothing)
	case release:
		after := w.end(c.ID)
		if node, found := w.byID(c.ID); found {
			after.holder[node] = tenant{}
		}
		return []told{{answer{Says: gone}, after}, {answer{Says: busy}, w}}
	}
	return append(w.mayAcquire(c.order), unchanged(busy)...)
}

func (w world) mayAcquire(o order) (all []told) {
	refuse := func(says verdict) []told { return []told{{answer{Says: says}, w}} }
	if w.isEnded(o.ID) {
		return refuse(taken)
	}
	there, found := w.byID(o.ID)
	if !found {
		there, found = w.byName(o)
	}
	if found && !w.holder[there].sameAs(o) {
		return refuse(taken)
	}
	if found {
		return []told{{answer{held, w.holder[there].ID, there}, w}}
	}
	has := 0
	for _, t := range w.holder {
		if t.there && t.owner() == o.owner() {
			has++
		}
	}
	if has >= worldQuota {
		return refuse(over)
	}
	for node, t := range w.holder {
		if !t.there && o.fits(node) {
			after := w
			after.holder[node] = tenant{true, o}
			all = append(all, told{answer{held, o.ID, node}, after})
		}
	}
	if len(all) == 0 {
		return refuse(full)
	}
	return all
}

// after lists the worlds in which a call may have left w that was answered so.
func (w world) after(c call, a answer) (worlds []any) {
	for _, t := range w.may(c) {
		if a.Says == unheard || t.answer == a {
			worlds = append(worlds, t.world)
		}
	}
	if a.Says == unheard {
		worlds = append(worlds, w)
	}
	return worlds
}

func (w world) String() string {
	var b strings.Builder
	for node, t := range w.holder {
		if t.there {
			fmt.Fprintf(&b, "n%d: %d  ", node, t.ID)
		}
	}
	return b.String() + fmt.Sprintf("ended: %x", w.ended)
}

// poolModel is what acquire and release are to look like from outside, whoever does them
// beside each other: as if each happened in one moment, between its call and its answer.
var poolModel = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{world{}} },
	Step: func(state, input, output any) []any { return state.(world).after(input.(call), output.(answer)) },
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		pools := map[int][]porcupine.Operation{}
		for _, op := range history {
			pools[op.Input.(call).Pool] = append(pools[op.Input.(call).Pool], op)
		}
		var all [][]porcupine.Operation
		for _, part := range pools {
			all = append(all, part)
		}
		return all
	},
	Hash: func(state any) uint64 {
		w := state.(world)
		hash := w.ended[0] ^ w.ended[1]*0x9e3779b97f4a7c15
		for _, t := range w.holder {
			hash = hash*1099511628211 + uint64(t.ID+1)
		}
		return hash
	},
	DescribeState: func(state any) string { return state.(world).String() },
}).ToModel()
