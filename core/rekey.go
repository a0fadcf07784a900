package core

import (
	"context"
	"errors"
)

// Rekey seals every secret of the store with another key, all in one transaction, and
// records that key: after a crash the store is wholly of the one or wholly of the other.
// Every other process that has the store open is refused from then on, and so is e.
// It returns how many values were sealed anew.
func (e *Engine) Rekey(ctx context.Context, next Sealer, s Sealing) (sealed int, err error) {
	if s.Fingerprint != next.Fingerprint() {
		return 0, &Error{Op: "change the key", Kind: Internal, Err: errors.New("what is to be recorded is another key than the one to seal with")}
	}
	err = e.store.Update(ctx, func(tx Tx) error {
		sealed = 0
		reseal := func(all []sealedValue) (changed bool, err error) {
			for _, v := range all {
				if len(*v.value) == 0 {
					continue
				}
				plain, err := e.sealer.Open(*v.value)
				if err != nil {
					return false, &Error{Op: "open " + v.what, Kind: KindOf(err), Err: err}
				}
				if *v.value, err = next.Seal(plain); err != nil {
					return false, err
				}
				sealed, changed = sealed+1, true
			}
			return changed, nil
		}
		// Everything is read first: no store writes while one of its lists is open.
		nodes, err := collect(tx.Nodes(NodeFilter{}))
		if err != nil {
			return err
		}
		var allocations []Allocation
		for a, err := range tx.Allocations(AllocationFilter{}) {
			if err != nil {
				return err
			}
			if a.keepsSecrets() {
				allocations = append(allocations, a)
			}
		}
		var attempts []Attempt
		for at, err := range tx.Attempts() {
			if err != nil {
				return err
			}
			if at.keepsSecrets() {
				attempts = append(attempts, at)
			}
		}
		authorities, err := collect(tx.Authorities())
		if err != nil {
			return err
		}
		for _, a := range authorities {
			if _, err := reseal(a.sealed()); err != nil {
				return err
			}
			if err := tx.PutAuthority(a); err != nil {
				return err
			}
		}
		for _, n := range nodes {
			switch changed, err := reseal(n.sealed()); {
			case err != nil:
				return withNode(err, n.ID)
			case changed:
				if err := tx.PutSpec(n); err != nil {
					return err
				}
			}
		}
		for _, a := range allocations {
			if _, err := reseal(a.sealed()); err != nil {
				return named(err, a.Name)
			}
			if err := swapAllocation(tx, &a); err != nil {
				return err
			}
		}
		for _, at := range attempts {
			if _, err := reseal(at.sealed()); err != nil {
				return withNode(err, at.Node)
			}
			if err := tx.PutAttempt(at); err != nil {
				return err
			}
		}
		if err := tx.PutSealing(s); err != nil {
			return err
		}
		return tx.AddEvent(Event{Type: Note, Message: "the store's key was changed to " + s.Fingerprint, By: e.process})
	})
	return sealed, err
}
