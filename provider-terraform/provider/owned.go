package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// Actions and ephemeral resources name a machine by its ID, and see nothing of the
// resource that has it. An ID of somebody else's machine is refused, unless the
// configuration says whose it is.

const (
	machineIDDoc = "The machine's ID: `id` of a `metalpool_machine` or a `metalpool_allocation`, `allocation_id` of a `metalpool_deployment`."
	ownerDoc     = "Its owner, where that is not the provider's. Somebody else's machine is refused unless they are named here."
)

var machineIDPath = path.Root("machine_id")

// owned finds the machine that op is asked of.
func (p *pool) owned(ctx context.Context, op string, id, owner types.String) (core.Machine, error) {
	there, err := p.Machine(ctx, core.AllocationID(id.ValueString()))
	if err != nil {
		return there, err
	}
	// Behind a token nobody is named: the pool itself knows whose it is. What was
	// released before it was ever taken is nobody's.
	if mine := cmp.Or(owner.ValueString(), p.owner); mine != "" && there.Owner != "" && there.Owner != mine {
		return there, &core.Error{
			Op: op, Allocation: there.Name, Node: there.Node, Kind: core.Denied,
			Err:  fmt.Errorf("it is the machine of %s, and not of %s", there.Owner, mine),
			Hint: fmt.Sprintf("see machine_id; if %s's is meant, say owner = %q", there.Owner, there.Owner),
		}
	}
	return there, nil
}

// held is owned, of a machine that was not given up.
func (p *pool) held(ctx context.Context, op string, id, owner types.String) (core.Machine, error) {
	there, err := p.owned(ctx, op, id, owner)
	switch {
	case err != nil:
		return there, err
	case there.State.Ended():
		return there, givenUp(op, there)
	case !there.State.Owned():
		return there, &core.Error{Op: op, Allocation: there.Name, Kind: core.Busy, Err: errors.New("it still waits for a server"), Hint: "ask again once it has one"}
	}
	return there, nil
}

func givenUp(op string, there core.Machine) error {
	return &core.Error{Op: op, Allocation: there.Name, Kind: core.Denied, Err: fmt.Errorf("the machine was given up: %s, %s", there.State, there.Reason), Hint: "name one that is there"}
}
