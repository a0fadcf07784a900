package provider

import (
	"context"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// allocationResource is metalpool_allocation: to the pool it is a machine that nobody
// has deployed yet.
type allocationResource struct{ machineResource }

func newAllocationResource() resource.Resource { return &allocationResource{} }

var _ interface {
	resource.ResourceWithConfigure
	resource.ResourceWithModifyPlan
	resource.ResourceWithImportState
	resource.ResourceWithIdentity
} = &allocationResource{}

// machine is the allocation as the machine that it is to the pool. What is deployed on it
// is the deployment's to tell, so that nothing of it is ever to be finished.
func (m allocationModel) machine() machineModel {
	whole := machineModel{serverModel: m.serverModel, systemModel: noSystem(), AllowRedeploy: types.SetNull(textType)}
	whole.State = types.StringValue(string(core.Deployed))
	return whole
}

// fill writes down what the pool says of the allocation.
func (m *allocationModel) fill(ctx context.Context, there core.Machine) diag.Diagnostics {
	there.Labels = ownLabels(there.Labels)
	whole := m.machine()
	diags := whole.fill(ctx, there)
	m.serverModel = whole.serverModel
	return diags
}

// settle makes null what is still unknown.
func (m *allocationModel) settle() {
	whole := m.machine()
	whole.settle()
	m.serverModel = whole.serverModel
}

// Create takes a server. Its ID is in the state before anything is waited for.
func (r *allocationResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var config, plan allocationModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	limit, diags := plan.Timeouts.Create(ctx, createTimeout)
	resp.Diagnostics.Append(diags...)
	o, _, diags := order(ctx, config.machine(), plan.machine())
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	if err := r.pool.claims.claim(aMachine, o.Name, o.Name); err != nil {
		fault(&resp.Diagnostics, err, path.Root("name"))
		return
	}
	o.ID, o.Owner = core.AllocationID(core.NewID("tf")), r.pool.owner
	o.AcquireTimeout, _ = core.ParseDuration("deploy_within", plan.DeployWithin.ValueString()) // the schema has refused what cannot be read
	plan.ID, plan.Owner = types.StringValue(string(o.ID)), types.StringValue(o.Owner)
	save := func() {
		kept := plan
		kept.settle()
		resp.Diagnostics.Append(resp.State.Set(ctx, &kept)...)
		resp.Diagnostics.Append(resp.Identity.Set(ctx, machineIdentity{ID: kept.ID})...)
	}
	save()
	if resp.Diagnostics.HasError() {
		return
	}
	told := story{next: ofCreate}
	work, cancel := context.WithTimeout(ctx, o.Wait+limit)
	defer cancel()
	there, err := r.taking(work, o, plan.Wait, limit, func(o core.Order) (core.Machine, error) { return r.pool.Allocate(work, o, told.report(ctx)) })
	if err == nil {
		plan.ID = types.StringValue(string(there.ID)) // another one where a killed create is gone on with
		resp.Diagnostics.Append(plan.fill(ctx, there)...)
		save()
		return
	}
	switch left, known := r.left(ctx, o.ID); {
	case known && left.State.Owned(): // it was taken, and only the answer was lost
		resp.Diagnostics.Append(plan.fill(ctx, left)...)
		save()
		return
	case known:
		resp.State.RemoveResource(ctx) // nothing is held under this ID, and nothing ever will be
	}
	r.notTaken(work, o, err, &told, &resp.Diagnostics)
}

// Read asks the pool.
func (r *allocationResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state allocationModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	limit, diags := state.Timeouts.Read(ctx, readTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	resp.Diagnostics.Append(resp.Identity.Set(ctx, machineIdentity{ID: state.ID})...)
	there, ok := r.found(ctx, state.machine(), "Allocation", resp)
	if !ok {
		return
	}
	resp.Diagnostics.Append(state.fill(ctx, there)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// Update changes the pool's notes on the allocation: the server is not asked.
func (r *allocationResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var config, plan, state allocationModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	limit, diags := plan.Timeouts.Update(ctx, updateTimeout)
	resp.Diagnostics.Append(diags...)
	o, _, diags := order(ctx, config.machine(), plan.machine())
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	resp.Diagnostics.Append(resp.Identity.Set(ctx, machineIdentity{ID: state.ID})...)
	o.ID = core.AllocationID(state.ID.ValueString())
	there, err := r.change(ctx, o, plan.machine(), state.machine())
	if err != nil {
		orderFault(&resp.Diagnostics, err, nil)
		return
	}
	resp.Diagnostics.Append(plan.fill(ctx, there)...)
	plan.settle()
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// Delete gives the server back, with whatever is on it.
func (r *allocationResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state allocationModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if !resp.Diagnostics.HasError() {
		r.giveBack(ctx, state.machine(), &resp.Diagnostics)
	}
}

// ModifyPlan says whether the server stays, and refuses now what could not be taken.
func (r *allocationResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	var config, plan, state allocationModel
	if req.Plan.Raw.IsNull() {
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
		if there := state.machine(); !resp.Diagnostics.HasError() && r.protected(ctx, there) {
			resp.Diagnostics.Append(protection(there, "destroy"))
		}
		return
	}
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() || r.pool == nil {
		return
	}
	if req.State.Raw.IsNull() {
		r.planAllocate(ctx, config, plan, resp)
		return
	}
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	there, asked := state.machine(), plan.machine()
	misfit, why := r.misfit(ctx, there, asked, resp)
	if resp.Diagnostics.HasError() {
		return
	}
	e := decide(there, asked, nil, misfit, false)
	for _, name := range e.replace {
		resp.RequiresReplace = append(resp.RequiresReplace, path.Root(name))
	}
	if len(e.replace) > 0 && r.protected(ctx, there) {
		resp.Diagnostics.Append(protection(there, "replace, for the sake of "+strings.Join(e.replace, ", ")+","))
		return
	}
	e.tell(there, why, resp)
	if len(e.replace) > 0 {
		r.planReplacement(ctx, config.machine(), asked, there, &resp.Diagnostics)
	}
}

// planAllocate tells now whether a server could be taken.
func (r *allocationResource) planAllocate(ctx context.Context, config, plan allocationModel, resp *resource.ModifyPlanResponse) {
	plan.Owner = types.StringValue(r.pool.owner)
	if config.Pool.IsNull() {
		plan.Pool = types.StringValue(core.DefaultPool)
	}
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
	o, whole, diags := order(ctx, config.machine(), plan.machine())
	resp.Diagnostics.Append(diags...)
	if !whole || resp.Diagnostics.HasError() {
		return
	}
	r.planAgain(ctx, o, config.Wait, &resp.Diagnostics)
}

// ImportState finds an allocation as a machine is found.
func (r *allocationResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	there, ok := r.imported(ctx, req, resp)
	if !ok {
		return
	}
	var times timeouts.Value
	resp.Diagnostics.Append(resp.State.GetAttribute(ctx, path.Root("timeouts"), &times)...)
	m, diags := broughtAllocation(ctx, there, times)
	resp.Diagnostics.Append(diags...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, machineIdentity{ID: m.ID})...)
}

// broughtAllocation is to an allocation what broughtMachine is to a machine.
func broughtAllocation(ctx context.Context, there core.Machine, times timeouts.Value) (allocationModel, diag.Diagnostics) {
	m := allocationModel{
		serverModel:  serverModel{Labels: types.MapNull(textType), DeletionProtection: types.BoolValue(false), Timeouts: times},
		DeployWithin: types.StringValue(deployWithin),
	}
	block, diags := requirements(ctx, there.Request)
	m.Requirements = block
	diags.Append(m.fill(ctx, there)...)
	return m, diags
}
