package postgres

import (
	"errors"
	"fmt"

	"github.com/metalpool/metalpool/core"
)

// What a transaction may rely on
//
// A View is REPEATABLE READ: one picture, which holds up nobody.
//
// An Update is READ COMMITTED, and waits where it would otherwise decide upon what is
// being changed. SERIALIZABLE would need none of what follows, and was measured with 16
// clients on 10,000 nodes: nine of ten runs were lost to others that had nothing to do with
// them, since its locks are on pages of indexes, and there was a tenth of the acquires. So an Update relies on this:
//
//   - A node, lease or allocation that it reads by its key, or by owner and name, is
//     locked until it ends: a worker whose lease is taken over cannot commit any more,
//     and whoever takes it over waits for a commit under way.
//   - An allocation that it does not find, by its key or by owner and name, is not made
//     by another until it ends: who asks for the same waits, finds it, and is not refused
//     for want of what it holds. A node, pool, image or attempt that it does not find and
//     then writes is not there, or it is run again.
//   - A pool, image or attempt that it reads and then writes is as it was read, or it is
//     run again.
//   - The allocations of an owner, once listed, change only by itself: quota and
//     placement are decided upon such a list. Only that owner's other decisions wait.
//   - Candidates, and lists of other kinds, are what was committed when they were read. A
//     node or allocation of such a list may be swapped only as it was listed: the version
//     tells.
//   - To delete a pool or an image is decided upon lists of everything, so that it is run
//     with no other Update beside it. That is rare, and nothing else is.
//
// Those who wait for each other's rows in a circle are told by PostgreSQL after a second
// (deadlock_timeout); one of them is run again.
type mode int

const (
	reading mode = iota
	writing
	alone // with no other Update beside it
)

func (m mode) writes() bool { return m != reading }

// writers is the first half of the advisory lock that every Update shares, and that who
// must be alone has to itself; the schema is the other half.
const writers int32 = 0x6d706f6c // "mpol"

// errAlone asks for the function to be run again with the store to itself.
var errAlone = errors.New("to be run alone")

// needAlone is called by verbs whose use rests on lists of everything.
func (t *tx) needAlone() error {
	if err := t.Usable(t.ctx); err != nil || t.mode != writing {
		return err
	}
	t.Failed = errAlone
	return t.Failed
}

// rerun ends the transaction since another one got in between, and has it run again.
func (t *tx) rerun(why error) error {
	t.Failed = fmt.Errorf("%w (%w)", core.ErrConflict, why)
	return t.Failed
}

// lacks notes that key was not found.
func (t *tx) lacks(key string) {
	if !t.mode.writes() {
		return
	}
	if t.absent == nil {
		t.absent = map[string]bool{}
	}
	t.absent[key] = true
}

// cameIn has the function run again where key stands in its way, and was not there when
// it looked.
func (t *tx) cameIn(key string) error {
	if t.absent[key] {
		return t.rerun(fmt.Errorf("%s has come into being", key))
	}
	return nil
}

// lockKey locks a text until the transaction ends.
const lockKey = "SELECT true FROM pg_advisory_xact_lock(hashtextextended($1, $2))"

// forOwner has other decisions on the owner's allocations wait for this one.
func (t *tx) forOwner(owner string) error {
	if !t.mode.writes() || t.owners[owner] {
		return t.Usable(t.ctx)
	}
	if _, err := t.read("wait for the owner's other requests", lockKey, []any{text(owner), int64(t.store.schema)}, new(bool)); err != nil {
		return err
	}
	if t.owners == nil {
		t.owners = map[string]bool{}
	}
	t.owners[owner] = true
	return nil
}

// locked ends a query for rows by key in an Update.
func (t *tx) locked() string {
	if !t.mode.writes() {
		return ""
	}
	return " FOR NO KEY UPDATE"
}
