package postgres

import (
	"iter"
	"math/rand/v2"
	"strconv"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/store/internal/record"
)

// Candidates costs the same for the first node whether the pool has ten or ten
// thousand: the index leads to the next worth and a random place in it, and nodes are
// read by the handful, more each time. They are not locked: most are only looked at,
// and whoever swaps one that was taken meanwhile is run again, from another place.
func (t *tx) Candidates(pool string) iter.Seq2[core.Node, error] {
	return func(yield func(core.Node, error) bool) {
		c := cursor{pool: text(pool)}
		for {
			nodes, err := t.more(&c)
			if err != nil {
				yield(core.Node{}, err)
				return
			}
			for _, n := range nodes {
				if !yield(n, nil) {
					return
				}
			}
			if c.done {
				return
			}
		}
	}
}

// cursor is how far a loop over candidates has come.
type cursor struct {
	pool  string
	worth string // of the nodes that are listed now; "" at first
	start int64  // where among those it began
	last  int64  // the one that was listed last
	round bool   // from the first of that worth, up to where it began
	done  bool
	reads int
}

// Handfuls: most acquires take the first node that they see.
const (
	firstHandful = 4
	mostHandful  = 256
)

// The first search ends with its limit, as a figure: a plan for any limit looks so costly to
// PostgreSQL that it would rather make one for each search, which takes longer than that.
const (
	available = fromNodes + " WHERE n.state = '" + string(core.Available) + "' AND n.pool = $1 AND n.worth = "
	nextWorth = `WITH low AS MATERIALIZED (SELECT worth, seq FROM nodes WHERE state = '` + string(core.Available) + `' AND pool = $1 AND worth > $2 ORDER BY worth, seq LIMIT 1),
		high AS MATERIALIZED (SELECT seq FROM nodes WHERE state = '` + string(core.Available) + `' AND pool = $1 AND worth = (SELECT worth FROM low) ORDER BY worth DESC, seq DESC LIMIT 1),
		place AS MATERIALIZED (SELECT low.seq + floor($3::float8 * (high.seq - low.seq + 1))::bigint AS start FROM low, high)
		SELECT ` + record.NodeColumns + `, n.seq, n.worth, (SELECT start FROM place)` + available + `(SELECT worth FROM low) AND n.seq >= (SELECT start FROM place) ORDER BY n.seq LIMIT `
	sameWorth = "SELECT " + record.NodeColumns + ", n.seq" + available + "$2 AND n.seq > $3 AND n.seq < $4 ORDER BY n.seq LIMIT $5"
)

// more reads the next handful, which may be empty though there is more to come.
func (t *tx) more(c *cursor) ([]core.Node, error) {
	const op = "find candidates"
	handful := min(firstHandful<<(2*c.reads), mostHandful)
	c.reads = min(c.reads+1, 8)
	var nodes []core.Node
	scan := func(more ...any) func(record.Row) (core.Node, error) {
		return func(row record.Row) (core.Node, error) {
			return record.Node(wider{row, more})
		}
	}
	var rows iter.Seq2[core.Node, error]
	fresh := c.last == 0 && !c.round
	switch {
	case fresh:
		rows = list(t, op, scan(&c.last, &c.worth, &c.start), nextWorth+strconv.Itoa(handful), c.pool, c.worth, rand.Float64())
	case c.round:
		rows = list(t, op, scan(&c.last), sameWorth, c.pool, c.worth, c.last, c.start, handful)
	default:
		rows = list(t, op, scan(&c.last), sameWorth, c.pool, c.worth, c.last, int64(1)<<62, handful)
	}
	for n, err := range rows {
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	switch {
	case len(nodes) == handful:
	case fresh && len(nodes) == 0:
		c.done = true
	case c.round:
		c.round, c.last = false, 0 // on to the next worth
	default:
		c.round, c.last = true, 0
	}
	return nodes, nil
}

// wider is a row with more in it than what reads it asks for.
type wider struct {
	record.Row
	more []any // where that goes
}

func (w wider) Scan(dest ...any) error { return w.Row.Scan(append(dest, w.more...)...) }
