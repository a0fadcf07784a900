package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// deploymentResource is metalpool_deployment: the half of a machine that its allocation
// is not.
type deploymentResource struct{ machineResource }

func newDeploymentResource() resource.Resource { return &deploymentResource{} }

var _ interface {
	resource.ResourceWithConfigure
	resource.ResourceWithModifyPlan
	resource.ResourceWithImportState
	resource.ResourceWithIdentity
} = &deploymentResource{}

// Create deploys the allocation's server. Its ID is in the state, and on the allocation,
// before the server is touched. An error dooms this deployment and nothing else: the
// next apply deploys the same server anew. An interrupted create is no error.
func (r *deploymentResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var config, plan deploymentModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	limit, diags := plan.Timeouts.Create(ctx, createTimeout)
	resp.Diagnostics.Append(diags...)
	o, _, diags := order(ctx, config.machine(), plan.machine())
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	work, cancel := context.WithTimeout(ctx, limit+core.CallMargin)
	defer cancel()
	id := core.AllocationID(plan.AllocationID.ValueString())
	there, err := r.pool.Machine(work, id)
	if err != nil {
		fault(&resp.Diagnostics, err, allocationPath)
		return
	}
	if err := r.pool.claims.claim(aDeployment, string(there.ID), there.Name); err != nil {
		fault(&resp.Diagnostics, err, allocationPath)
		return
	}
	shown := o
	shown.UserData = []byte(config.UserData.ValueString()) // what is no secret
	there, deployment, err := r.begin(work, id, shown)
	if err != nil {
		fault(&resp.Diagnostics, err, allocationPath)
		return
	}
	plan.ID = types.StringValue(deployment)
	wanted, whole := plan.PowerState, plan.machine()
	save := func() {
		kept := whole
		kept.settle()
		plan.take(kept)
		resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
		resp.Diagnostics.Append(resp.Identity.Set(ctx, machineIdentity{ID: plan.AllocationID})...)
	}
	resp.Diagnostics.Append(whole.pending(ctx, there)...)
	save()
	if resp.Diagnostics.HasError() {
		return
	}
	told := story{next: ofCreateHere}
	o.ID, o.DeployTimeout, o.Afresh = id, limit, true
	o.Revision = revision(plan.ID, o.Revision)
	there, err = r.pool.Deploy(work, o, told.report(ctx))
	if err == nil {
		resp.Diagnostics.Append(whole.fill(ctx, there)...)
		r.finished(work, plan, there, &resp.Diagnostics)
		whole.PowerState = types.StringValue(powerOn) // its SSH has just answered
		r.power(work, &whole, there.Access, wanted, &resp.Diagnostics)
		save()
		return
	}
	if left, known := r.left(ctx, id); known && left.State.Owned() {
		resp.Diagnostics.Append(whole.pending(ctx, left)...)
		save()
		if ctx.Err() != nil && left.State != core.Failed {
			resp.Diagnostics.AddWarning("Machine "+left.Name+" is not ready", fmt.Sprintf("The apply was interrupted while it was %s on node %s (%s). The next apply goes on with it.", left.State, left.Node, told.phase()))
			return
		}
	}
	orderFault(&resp.Diagnostics, err, &told)
}

// revision tells this deployment's order from that of one that was destroyed, which may
// have asked for the same.
func revision(id types.String, version string) string { return id.ValueString() + "/" + version }

// finished takes down that the create has come to its end. Where that fails, the next
// apply does it: the server is ready.
func (r *deploymentResource) finished(ctx context.Context, m deploymentModel, there core.Machine, diags *diag.Diagnostics) {
	if _, err := r.mark(ctx, there, m.ID.ValueString()); err != nil {
		summary, detail := explain(err, nil)
		diags.AddWarning(summary, detail+"\n\nThe server is deployed; the next apply takes that down.")
	}
}

// pending writes down where a deploy is that has not come to its end. What is asked for
// stays as it was: the pool may still tell what was there before.
func (m *machineModel) pending(ctx context.Context, there core.Machine) diag.Diagnostics {
	asked := *m
	if there.State == core.Deployed {
		there.State = core.Deploying
	}
	there.Access = core.Access{}
	diags := m.fill(ctx, there)
	m.Image, m.Profile, m.Hostname, m.SSHUser, m.SSHPort, m.SSHKeys = asked.Image, asked.Profile, asked.Hostname, asked.SSHUser, asked.SSHPort, asked.SSHKeys
	return diags
}

// free finds an allocation, which nobody else may have deployed, or be deploying.
func (r *deploymentResource) free(ctx context.Context, id core.AllocationID, o core.Order) (core.Machine, error) {
	there, err := r.pool.Machine(ctx, id)
	if err != nil {
		return there, err
	}
	if there.State.Ended() {
		return there, &core.Error{Op: "deploy", Allocation: there.Name, Kind: core.Invalid, Err: fmt.Errorf("the allocation has ended: %s, %s", there.State, there.Reason), Hint: "plan again: the next apply takes a server anew"}
	}
	taken := &core.Error{Op: "deploy", Allocation: there.Name, Node: there.Node, Kind: core.Exists}
	switch holder(there, o) {
	case foreign:
		taken.Err = fmt.Errorf("it is %s already, and to deploy it again would write over what is there", there.State)
		taken.Hint = "if that is this configuration's, whose state was lost: terraform import ADDRESS " + string(id)
	case another:
		taken.Err = fmt.Errorf("another metalpool_deployment, which asks for something else, has begun to deploy it: %s is %s for %s", there.Node, there.State, marked(there))
		taken.Hint = "give each an allocation of its own; if that was an apply of this configuration, which was killed: terraform import ADDRESS " + string(id)
	default:
		return there, nil
	}
	return there, taken
}

// Read asks the pool, and the server's BMC for the power.
func (r *deploymentResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state deploymentModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	limit, diags := state.Timeouts.Read(ctx, readTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	resp.Diagnostics.Append(resp.Identity.Set(ctx, machineIdentity{ID: state.AllocationID})...)
	there, err := r.pool.Machine(ctx, core.AllocationID(state.AllocationID.ValueString()))
	gone := func(why string) {
		resp.Diagnostics.AddWarning("The deployment on allocation "+there.Name+" is gone", why+" Terraform did not do that; a plan deploys anew.")
		resp.State.RemoveResource(ctx)
	}
	switch {
	case err != nil:
		fault(&resp.Diagnostics, r.missed(state, err), path.Empty())
		return
	case there.State.Ended():
		gone("The allocation has ended: " + ended(there))
		return
	case !state.holds(there):
		gone(fmt.Sprintf("Its place has deployment %q.", there.Labels[markLabel]))
		return
	}
	whole := state.machine()
	if there.State == core.Deployed && !unfinished(there) {
		resp.Diagnostics.Append(whole.fill(ctx, there)...)
		r.look(ctx, &whole, &resp.Diagnostics)
	} else {
		resp.Diagnostics.Append(whole.pending(ctx, there)...)
	}
	state.take(whole)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// missed says why the allocation was not found.
func (r *deploymentResource) missed(m deploymentModel, err error) error {
	if core.Is(err, core.NotFound) {
		return r.pool.stranger(machineModel{serverModel: serverModel{ID: m.AllocationID, Name: m.AllocationID}})
	}
	return err
}

// Update deploys the same server anew where the plan said so, and turns its power.
func (r *deploymentResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var config, plan, state deploymentModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	limit, diags := plan.Timeouts.Update(ctx, updateTimeout)
	resp.Diagnostics.Append(diags...)
	whole := plan.machine()
	o, _, diags := order(ctx, config.machine(), whole)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	o.ID, o.DeployTimeout = core.AllocationID(state.AllocationID.ValueString()), limit
	o.Revision = revision(state.ID, o.Revision)
	ctx, cancel := context.WithTimeout(ctx, limit+core.CallMargin)
	defer cancel()
	resp.Diagnostics.Append(resp.Identity.Set(ctx, machineIdentity{ID: state.AllocationID})...)
	there, err := r.pool.Machine(ctx, o.ID)
	if err != nil {
		fault(&resp.Diagnostics, err, path.Empty())
		return
	}
	var told story
	if whole.deploys() || there.State != core.Deployed || unfinished(there) {
		there, err = r.pool.Deploy(ctx, o, told.report(ctx))
	}
	if err == nil {
		if unfinished(there) {
			r.finished(ctx, state, there, &resp.Diagnostics)
		}
		r.bring(ctx, &whole, there, o.Keys, state.PowerState, config.PowerState, &resp.Diagnostics)
	} else {
		switch left, known := r.left(ctx, o.ID); {
		case known && left.State == core.Deployed: // it was not touched
			whole.keepDeployed(state.machine())
			resp.Diagnostics.Append(whole.fill(ctx, left)...)
		case known:
			resp.Diagnostics.Append(whole.pending(ctx, left)...)
		}
		orderFault(&resp.Diagnostics, err, &told)
	}
	whole.settle()
	plan.take(whole)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Private.SetKey(ctx, importedKey, []byte("false"))...)
}

// Delete turns the server off, and leaves it to its allocation.
func (r *deploymentResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state deploymentModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	limit, diags := state.Timeouts.Delete(ctx, core.ReleasePatience)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	id := core.AllocationID(state.AllocationID.ValueString())
	there, err := r.pool.Machine(ctx, id)
	switch {
	case err != nil:
		fault(&resp.Diagnostics, r.missed(state, err), path.Empty())
		return
	case there.State.Ended() || !state.holds(there):
		return
	case there.State == core.Deployed:
		err = r.pool.SetPower(ctx, id, core.ShutDown)
	case there.State == core.Deploying:
		resp.Diagnostics.AddWarning("Node "+string(there.Node)+" is not off", "A deploy is under way on it, which only the end of its allocation stops: destroy that, too, or deploy again once it is done.")
	}
	if err == nil {
		_, err = r.mark(ctx, there, markDestroyed)
	}
	if err != nil {
		fault(&resp.Diagnostics, err, path.Empty())
	}
}
