package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// policies is where the pools are declared.
type policies interface {
	Pool(ctx context.Context, name string) (core.Pool, error)
	AddPool(ctx context.Context, p core.Pool) error
	SetPool(ctx context.Context, p core.Pool) error
	RemovePool(ctx context.Context, name string, by core.Declarer, takeOver bool) error
}

// poolResource is metalpool_pool.
type poolResource struct{ operated[policies] }

func newPoolResource() resource.Resource { return &poolResource{} }

var _ interface {
	resource.ResourceWithConfigure
	resource.ResourceWithModifyPlan
	resource.ResourceWithImportState
	resource.ResourceWithIdentity
} = &poolResource{}

var phasesPath = path.Root("phase_timeouts")

// ModifyPlan refuses now what the pool would refuse then.
func (r *poolResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	var plan policyModel
	if req.Plan.Raw.IsNull() {
		return
	}
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	p, whole, diags := plan.policy(ctx, core.Pool{})
	resp.Diagnostics.Append(diags...)
	if !whole || resp.Diagnostics.HasError() {
		return
	}
	if err := p.Validate(); err != nil {
		policyFault(&resp.Diagnostics, err)
	}
}

// Create declares a pool. One that is there as declared is the one that a killed create
// has left.
func (r *poolResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan policyModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	p, _, diags := plan.policy(ctx, core.Pool{})
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	if err := r.claims.claim(aPool, p.Name, p.Name); err != nil {
		fault(&resp.Diagnostics, err, path.Root("name"))
		return
	}
	p.DeclaredBy = core.DeclaredInTerraform
	switch err := r.pool.AddPool(ctx, p); {
	case core.Is(err, core.Exists):
		taken(&resp.Diagnostics, err, p.Name)
		return
	case err != nil:
		policyFault(&resp.Diagnostics, err)
		return
	}
	plan.ID = plan.Name
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, nameIdentity{plan.Name})...)
}

// Read asks the pool.
func (r *poolResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state policyModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.Identity.Set(ctx, nameIdentity{state.Name})...)
	p, err := r.pool.Pool(ctx, state.Name.ValueString())
	if core.Is(err, core.NotFound) {
		gone(ctx, resp, "Pool "+state.Name.ValueString())
		return
	}
	if err != nil {
		policyFault(&resp.Diagnostics, err)
		return
	}
	resp.Diagnostics.Append(state.fill(p)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// Update changes the policy.
func (r *poolResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan policyModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, nameIdentity{plan.Name})...)
	if resp.Diagnostics.HasError() {
		return
	}
	there, err := r.pool.Pool(ctx, plan.Name.ValueString())
	if err == nil {
		p, _, diags := plan.policy(ctx, there)
		if resp.Diagnostics.Append(diags...); diags.HasError() {
			return
		}
		p.DeclaredBy = core.DeclaredInTerraform
		err = r.pool.SetPool(ctx, p)
	}
	if err != nil {
		policyFault(&resp.Diagnostics, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// Delete takes the declaration back, unless the pool has servers.
func (r *poolResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state policyModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if err := r.pool.RemovePool(ctx, state.Name.ValueString(), core.DeclaredInTerraform, false); err != nil && !core.Is(err, core.NotFound) {
		policyFault(&resp.Diagnostics, err)
	}
}

// ImportState finds a pool by its name.
func (r *poolResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	name := importedName(ctx, req, resp)
	if resp.Diagnostics.HasError() {
		return
	}
	p, err := r.pool.Pool(ctx, name)
	if err != nil {
		policyFault(&resp.Diagnostics, err)
		return
	}
	m := policyModel{Phases: types.ObjectNull(phaseTypes()), Profiles: types.SetNull(textType)}
	resp.Diagnostics.Append(m.fill(p)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, nameIdentity{m.Name})...)
}
