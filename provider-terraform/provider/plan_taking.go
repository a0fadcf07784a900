package provider

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// mostTold is of how many servers a plan says what they lack.
const mostTold = 5

// asThingsAre ends what is told of a shortage.
const asThingsAre = "As things are now, the apply would fail. The servers that it gives back itself are not counted."

// stillThere ends what is told of a replacement that is refused. Before a destroy, too,
// Terraform plans what it is not going to do.
const stillThere = "Nothing was given back, and the machine runs on. To destroy it without mending this first: terraform destroy -refresh=false."

// replaceable refuses to give a machine back for one that the pool would not make: an image
// or a profile that there is not, user data that contradicts the operator's. The apply
// would find that out once the machine is gone, and its disks with it. It reports whether
// there is nothing of the kind.
func (r *machineResource) replaceable(ctx context.Context, config, plan, state machineModel, diags *diag.Diagnostics) bool {
	o, whole := r.inStead(ctx, config, plan, diags)
	if !whole {
		return !diags.HasError()
	}
	o.ID = core.AllocationID(core.NewID("plan"))
	// Whatever else keeps it from being made (its name is the machine's, for one) is
	// looked at with the servers, or may pass.
	if err := r.pool.Check(ctx, o); core.Is(err, core.Invalid, core.NotFound) {
		if state.State.ValueString() != string(core.Deployed) {
			orderDoubt(diags, err, inItsStead)
			return false
		}
		summary, detail := explain(err, nil)
		add(diags, diag.NewErrorDiagnostic(summary, detail+"\n\n"+stillThere), attributeOf(err))
		return false
	}
	return true
}

// inStead is the order of the machine that takes another one's place, and whether all of
// it is known.
func (r *machineResource) inStead(ctx context.Context, config, plan machineModel, diags *diag.Diagnostics) (core.Order, bool) {
	// What the pool decided on for the one that is there, it decides on anew.
	plan.Pool, plan.Arch = config.Pool, config.Arch
	if config.Pool.IsNull() {
		plan.Pool = types.StringValue(core.DefaultPool)
	}
	o, whole, d := order(ctx, config, plan)
	diags.Append(d...)
	o.Owner = r.pool.owner
	return o, whole && !diags.HasError()
}

// planReplacement tells of a machine that is given back first whether the apply will find
// a server in its stead. Terraform shows nobody what the plan of a replacement's create
// warns of, so that this is told with what makes it one.
func (r *machineResource) planReplacement(ctx context.Context, config, plan, state machineModel, diags *diag.Diagnostics) {
	o, whole := r.inStead(ctx, config, plan, diags)
	if !whole {
		return
	}
	o.ID = core.AllocationID(state.ID.ValueString())
	r.planTaking(ctx, o, config.Wait, core.NodeID(state.Node.ValueString()), diags, refusal(false))
}

// planAgain is planTaking of a create. Its name may be that of a machine which is given
// back first, as one that is tainted.
func (r *machineResource) planAgain(ctx context.Context, o core.Order, wait types.String, diags *diag.Diagnostics) {
	there, err := r.pool.MachineNamed(ctx, o.Owner, o.Name)
	if err == nil {
		o.ID = there.ID
	}
	r.planTaking(ctx, o, wait, there.Node, diags, refusal(err == nil))
}

// planTaking tells now whether the apply will find a server to take. The one with the
// order's ID is given back first: it is nobody's neighbour any more, and its node counts,
// since its erase is waited for.
func (r *machineResource) planTaking(ctx context.Context, o core.Order, wait types.String, givenBack core.NodeID, diags *diag.Diagnostics, refuse func(*diag.Diagnostics, error)) {
	candidates, err := r.pool.Match(ctx, o)
	if err != nil {
		refuse(diags, err)
		return
	}
	var seen []string
	for _, c := range candidates {
		if c.Fits || c.Passes && (o.Wait > 0 || wait.IsNull() && (c.State == core.Cleaning || c.Node == givenBack)) {
			return
		}
		if len(seen) < mostTold {
			seen = append(seen, string(c.Node)+" "+missing(c))
		}
	}
	detail := asThingsAre
	if len(seen) > 0 {
		detail = "Node " + strings.Join(seen, "; node ") + ".\n\n" + detail
	}
	diags.AddWarning(fmt.Sprintf("No server of pool %s fits %s now", o.Request.Pool, o.Name), detail)
}

// inItsStead ends what is told of an order that is refused, while what it would replace or
// finish is there to be given back.
const inItsStead = "The apply would be refused. What is there can be destroyed all the same."

// refusal is how a plan tells of an order that the pool refuses. Before a destroy Terraform
// plans the configuration as if for an apply, and tells no provider which it is: a machine
// that has failed, or is tainted, is given back whatever was withdrawn since, so that the
// refusal is then the apply's.
func refusal(doomed bool) func(*diag.Diagnostics, error) {
	if doomed {
		return func(diags *diag.Diagnostics, err error) { orderDoubt(diags, err, inItsStead) }
	}
	return func(diags *diag.Diagnostics, err error) { orderFault(diags, err, nil) }
}

// missing is why a server cannot be taken now.
func missing(c core.Candidate) string {
	if c.Why == "" {
		return "is " + string(c.State)
	}
	return c.Why
}
