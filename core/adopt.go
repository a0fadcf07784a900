package core

import "fmt"

// A caller that lost its first ID asks again for the same owner and name under a new
// one, and is given what there is. The new ID then stands for the old allocation in
// everything that follows: the caller may be killed before it hears the old one, or
// fail, and releases what it knows. So a row under the new ID, ended from the start,
// points to the allocation, in the transaction in which the deploy goes on with it.

// followed reads what an ID stands for.
func followed(tx Tx, id AllocationID) (Allocation, error) {
	a, err := tx.Allocation(id)
	if err != nil || a.As == "" {
		return a, err
	}
	return tx.Allocation(a.As)
}

// mayGoOn refuses to deploy an allocation for a caller who wants something else on
// it: while it was only Allocated, no order was there to compare with. Where the
// caller came by another ID, that one stands for the allocation from here on.
func (c *creation) mayGoOn(tx Tx, a Allocation) error {
	o := c.order
	if c.stays || c.begun {
		return nil // it may ask for something else; or was compared, and has been renamed since
	}
	if why := c.e.difference(a, o); why != "" {
		return &Error{Op: "deploy", Allocation: o.Name, Kind: Exists, Err: fmt.Errorf("%s/%s is there as %s (%s) with another request (%s)", o.Owner, o.Name, a.ID, a.State, why), Hint: "choose another name, or release it with 'metalpool machine release " + string(a.ID) + "'"}
	}
	if o.ID == a.ID {
		return nil
	}
	own, err := tx.Allocation(o.ID)
	switch {
	case err == nil && own.As == a.ID:
		return nil
	case err == nil:
		return &Error{Op: "deploy", Allocation: o.Name, Kind: Denied, Err: fmt.Errorf("its ID %s was given up meanwhile: %s (%s)", o.ID, own.State, own.Reason), Hint: "make a new ID for a new machine"}
	case !Is(err, NotFound):
		return err
	}
	now := tx.Now()
	return tx.InsertAllocation(Allocation{ID: o.ID, Owner: o.Owner, Name: o.Name, State: Released, Reason: "goes on as " + string(a.ID), Request: o.Request, As: a.ID, CreatedAt: now, EndedAt: now})
}
