package provider

import (
	"context"
	"errors"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// ModifyPlan says whether the server is deployed anew, and refuses now what could not be
// deployed then.
func (r *deploymentResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	var config, plan, state deploymentModel
	if req.Plan.Raw.IsNull() || r.pool == nil {
		return
	}
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if req.State.Raw.IsNull() {
		r.check(ctx, config, plan, true, resp)
		return
	}
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	imported, diags := req.Private.GetKey(ctx, importedKey)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() || !plan.AllocationID.Equal(state.AllocationID) {
		return // it is replaced, and planned again as a new one
	}
	there, asked := state.machine(), plan.machine()
	e := decide(there, asked, redeployable, false, string(imported) == importedValue)
	e.checkKeys(there, asked, resp)
	if e.deploys() || !plan.WaitFor.Equal(state.WaitFor) {
		r.check(ctx, config, plan, false, resp)
	}
	if e.deploys() {
		expectDeploy(&asked, config.machine(), there)
		plan.take(asked)
		resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
	}
	e.tell(there, "", resp)
}

// check refuses what no deploy could be made of. What stands in the way now, and who has
// the allocation, is the apply's to find out: it may be about to change both.
func (r *deploymentResource) check(ctx context.Context, config, plan deploymentModel, afresh bool, resp *resource.ModifyPlanResponse) {
	o, whole, diags := order(ctx, config.machine(), plan.machine())
	resp.Diagnostics.Append(diags...)
	if !whole || resp.Diagnostics.HasError() {
		return
	}
	o.ID, o.Owner, o.Name = core.AllocationID(core.NewID("plan")), r.pool.owner, "plan"
	if plan.AllocationID.IsUnknown() && config.Image.IsNull() {
		return // the image is that of a pool which is not known yet
	}
	check, doomed := r.pool.Check, false
	if !plan.AllocationID.IsUnknown() {
		there, err := r.pool.Machine(ctx, core.AllocationID(plan.AllocationID.ValueString()))
		if err != nil {
			fault(&resp.Diagnostics, err, allocationPath)
			return
		}
		o.Name, o.Request.Pool = there.Name, there.Pool
		doomed = there.State != core.Deployed && there.State != core.Allocated
		if there.State.Owned() {
			o.ID, o.Afresh, check = there.ID, afresh, r.pool.CheckDeploy
		}
	}
	err := check(ctx, o)
	if err != nil && !core.Is(err, core.Exists, core.NoCapacity, core.Denied, core.Busy, core.Transient, core.Timeout) {
		refusal(doomed)(&resp.Diagnostics, err)
	}
}

// ImportState finds a deployment by its allocation, as a machine is found.
func (r *deploymentResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	there, ok := r.imported(ctx, req, resp)
	if !ok {
		return
	}
	if mark := there.Labels[markLabel]; mark == markDestroyed || mark == "" && there.State == core.Allocated {
		fault(&resp.Diagnostics, &core.Error{Op: "import deployment", Allocation: there.Name, Node: there.Node, Kind: core.NotFound, Err: errors.New("nothing is deployed on the allocation"), Hint: "create one"}, path.Empty())
		return
	}
	m := deploymentModel{
		ID: types.StringValue(string(there.ID)), AllocationID: types.StringValue(string(there.ID)), systemModel: noSystem(),
	}
	if mark := marked(there); mark != "" {
		m.ID = types.StringValue(mark)
	}
	resp.Diagnostics.Append(resp.State.GetAttribute(ctx, path.Root("timeouts"), &m.Timeouts)...)
	whole := m.machine()
	resp.Diagnostics.Append(whole.fill(ctx, there)...)
	m.take(whole)
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, machineIdentity{ID: m.AllocationID})...)
	resp.Diagnostics.Append(resp.Private.SetKey(ctx, importedKey, []byte(importedValue))...)
}
