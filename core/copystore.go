package core

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const opCopy = "copy the store"

// How a pool moves to another store
//
// There must be no moment when two stores of one pool are used, nor one when none can be.
// So the store that the pool leaves is marked first, which closes it to all, and only then
// is it read; the other one is open with the commit of what was read. Cut short before
// that, the mark says where the pool was going, and the same copy again does it. Cut short
// after it, the other store has the copy's ID, by which the same copy again sees that it
// was done.

// CopyStore has an empty store hold what another one does: the same pool, with its
// history. It refuses while somebody works on a node, and commits only what it has read
// back and found to be the same. From then on from is refused to all; a copy that fails
// opens it again. What moved away before may come back the same way.
func CopyStore(ctx context.Context, from Store, to Importer, timing Timing) (copied Copied, err error) {
	timing = timing.orDefaults()
	there := to.Info()
	done, err := mayCopy(from.Info(), there)
	if done {
		err = to.View(ctx, func(tx Tx) error {
			copied, err = count(tx)
			return err
		})
	}
	if done || err != nil {
		return copied, err
	}
	mark := from.Info().Moved
	if mark.Copy == "" {
		mark = Moved{Copy: NewID("c"), To: there.URL}
	}
	as := from.Info()
	as.Copy = mark.Copy
	marked, written := false, false
	err = to.Import(ctx, as, func(dst Tx) error {
		written = false
		// Here, since to has been found empty by now.
		if err := leave(ctx, from, &mark, timing.Call); err != nil {
			return err
		}
		marked = true
		if copied, err = move(ctx, from, dst); err != nil {
			return err
		}
		written = true
		return nil
	})
	// Where all was written it may have been committed, whatever is said: the mark stays.
	if err != nil && marked && !written {
		stay := from.Update(context.WithoutCancel(ctx), func(tx Tx) error { return tx.PutMoved(Moved{}) })
		err = errors.Join(err, stay)
	}
	return copied, err
}

// mayCopy refuses what would leave two stores of a pool, or lose one. It is done where to
// has this very copy already.
func mayCopy(from, to StoreInfo) (done bool, err error) {
	refuse := func(kind Kind, hint, format string, args ...any) (bool, error) {
		return false, &Error{Op: opCopy, Kind: kind, Err: fmt.Errorf(format, args...), Hint: hint}
	}
	switch gone := from.Moved; {
	case gone.Copy != "" && gone.Copy == to.Copy && to.Moved.Copy == "":
		return true, nil
	case gone.Copy != "" && gone.To != to.URL:
		return refuse(Invalid, "finish that copy first, or give it up with 'metalpool store reopen'", "the pool in %s was copied to %s at %s, or is just being", from.URL, gone.To, gone.At.Format(time.RFC3339))
	case to.Moved.Copy != "" && to.Moved.Copy != from.Copy:
		return refuse(Exists, "name a new place, or drop what is there", "%s holds a pool that was copied to %s, and %s is not what came of that", to.URL, to.Moved.To, from.URL)
	case to.Moved.Copy == "" && to.PoolID == from.PoolID:
		return refuse(Exists, "name a new place", "%s holds this same pool already, and is open to all", to.URL)
	}
	return false, nil
}

// leave closes a store to all but this process, where nobody works on a node.
func leave(ctx context.Context, from Store, mark *Moved, grace time.Duration) error {
	return from.Update(ctx, func(tx Tx) error {
		if err := atRest(tx, grace); err != nil {
			return err
		}
		mark.At = tx.Now()
		return tx.PutMoved(*mark)
	})
}

// move copies what from holds, and reads both again.
func move(ctx context.Context, from Store, dst Tx) (copied Copied, err error) {
	begun := false
	err = from.View(ctx, func(src Tx) error {
		if begun {
			return &Error{Op: opCopy, Kind: Transient, Err: errors.New("the connection to " + from.Info().URL + " broke on the way"), Hint: "copy it again; nothing was kept of this copy"}
		}
		begun = true
		return copied.copy(src, dst)
	})
	if err != nil {
		return copied, err
	}
	err = from.View(ctx, func(src Tx) error { return copied.compare(src, dst) })
	if differ, ok := errors.AsType[*differError](err); ok {
		err = &Error{Op: opCopy, Kind: Busy, Err: fmt.Errorf("%w: somebody has written to the pool meanwhile", differ),
			Hint: "stop the servers and commands that use the pool, and copy it again; nothing was kept of this copy"}
	}
	return copied, err
}

// atRest refuses where a worker has a lease: what it does next would be known only to
// the store that it has opened.
func atRest(tx Tx, grace time.Duration) error {
	var at []string
	for l, err := range tx.Leases() {
		if err != nil {
			return err
		}
		if !l.Free(tx.Now(), grace) {
			at = append(at, fmt.Sprintf("%s works on %s", processOf(l.Holder), l.Node))
		}
	}
	if len(at) == 0 {
		return nil
	}
	slices.Sort(at)
	return &Error{Op: opCopy, Kind: Busy, Err: errors.New(strings.Join(at, ", ")), Hint: "stop the servers and commands that use the pool, or wait until they are done; see 'metalpool watch'"}
}

// count counts what a store holds.
func count(tx Tx) (c Copied, err error) {
	for _, k := range c.kinds() {
		if *k.count, err = k.number(tx); err != nil {
			return c, err
		}
	}
	return c, nil
}
