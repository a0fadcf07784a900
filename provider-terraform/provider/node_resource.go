package provider

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// inventory is where the servers are.
type inventory interface {
	Node(ctx context.Context, id core.NodeID) (core.Node, error)
	Nodes(ctx context.Context, f core.NodeFilter) ([]core.Node, error)
	Enroll(ctx context.Context, in core.Enrollment, report core.Reporter) (core.Node, error)
	SetNode(ctx context.Context, id core.NodeID, c core.NodeChange) (core.Node, error)
	Repair(ctx context.Context, id core.NodeID, reason string) (core.Node, error)
	Retire(ctx context.Context, id core.NodeID, reason string) error
	AwaitRest(ctx context.Context, id core.NodeID, report core.Reporter) (core.Node, error)
}

// nodeResource is metalpool_node.
type nodeResource struct{ operated[inventory] }

func newNodeResource() resource.Resource { return &nodeResource{} }

var _ interface {
	resource.ResourceWithConfigure
	resource.ResourceWithModifyPlan
	resource.ResourceWithImportState
	resource.ResourceWithIdentity
} = &nodeResource{}

// ModifyPlan brings the ways to check the BMC's certificate in line, of which one counts,
// and says what an erase destroys.
func (r *nodeResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	var config, plan, state inventoryModel
	if req.Plan.Raw.IsNull() {
		return
	}
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if !req.State.Raw.IsNull() {
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	other := !config.BMCCA.IsNull() || config.BMCInsecure.ValueBool()
	if other && config.BMCFingerprint.IsNull() {
		plan.BMCFingerprint = types.StringNull()
		resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
	}
	if req.State.Raw.IsNull() {
		return
	}
	if was := !state.BMCCA.IsNull() || state.BMCInsecure.ValueBool(); was && !other && config.BMCFingerprint.IsNull() {
		resp.Diagnostics.AddAttributeError(path.Root("bmc_fingerprint"), "Nothing says how to check the certificate of "+state.Name.ValueString()+"'s BMC",
			"A certificate that is there now is trusted when a server is enrolled, and not later.\n\nWhat to do: give its bmc_fingerprint, a bmc_ca, or bmc_insecure.")
	}
	if plan.Erase.ValueBool() && !state.Erase.ValueBool() && state.State.ValueString() == string(core.Quarantined) {
		resp.Diagnostics.AddAttributeWarning(path.Root("erase"), "All disks of node "+state.Name.ValueString()+" are erased", "It is Quarantined: "+state.Reason.ValueString()+".")
	}
}

// Create enrolls a server. One that is there as declared is the one that a killed create
// has left.
func (r *nodeResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var config, plan inventoryModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	limit, diags := plan.Timeouts.Create(ctx, core.CleanPatience)
	resp.Diagnostics.Append(diags...)
	in, diags := plan.enrollment(ctx, config)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	if err := r.claims.claim(aNode, in.URL, string(in.ID)); err != nil {
		fault(&resp.Diagnostics, err, path.Root("bmc_url"))
		return
	}
	work, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var told story
	in.By = core.DeclaredInTerraform
	n, err := r.pool.Enroll(work, in, told.report(ctx))
	if core.Is(err, core.Exists) {
		there, found := r.at(work, in.URL)
		switch {
		case !found:
			nodeFault(&resp.Diagnostics, err)
			return
		case !asDeclared(there, in):
			taken(&resp.Diagnostics, err, string(there.ID))
			return
		}
		n, err = r.pool.SetNode(work, there.ID, core.NodeChange{Password: &in.Password, By: in.By})
		if err == nil && in.Erase {
			n, err = r.putToUse(work, n)
		}
	}
	if err != nil {
		nodeFault(&resp.Diagnostics, err)
		return
	}
	n = r.rest(work, n, plan, &resp.Diagnostics)
	resp.Diagnostics.Append(plan.fill(ctx, n)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, nameIdentity{plan.Name})...)
}

// at finds the node whose BMC has an address.
func (r *nodeResource) at(ctx context.Context, url string) (core.Node, bool) {
	nodes, err := r.pool.Nodes(ctx, core.NodeFilter{})
	if err != nil {
		return core.Node{}, false
	}
	i := slices.IndexFunc(nodes, func(n core.Node) bool { return n.Spec.BMC.URL == url })
	if i < 0 {
		return core.Node{}, false
	}
	return nodes[i], true
}

// asDeclared reports whether a node is as an enrollment asks for it, where that says.
func asDeclared(n core.Node, in core.Enrollment) bool {
	s, free := n.Spec, func(there, asked string) bool { return asked == "" || there == asked }
	return free(string(n.ID), string(in.ID)) && n.Pool == in.Pool && maps.Equal(s.Labels, in.Labels) &&
		s.BMC.URL == in.URL && s.BMC.User == in.User && s.BMC.TLS.CA == in.CA && s.BMC.TLS.Insecure == in.Insecure &&
		free(s.BMC.TLS.Fingerprint, in.Fingerprint) && free(s.BMC.ConsoleKey, in.ConsoleKey) && free(string(s.Boot), string(in.Boot)) &&
		s.Address == in.Address && s.SSHPort == in.SSHPort && s.DockerPort == in.DockerPort && s.Advertise == in.Advertise &&
		reflect.DeepEqual(s.Network, in.Network)
}

// putToUse has a server erased whose disks nobody has said yes to before.
func (r *nodeResource) putToUse(ctx context.Context, n core.Node) (core.Node, error) {
	if n.State != core.Quarantined {
		return n, nil
	}
	return r.pool.Repair(ctx, n.ID, "erase = true in Terraform")
}

// rest waits, where that is asked for, until a server that is being erased is at rest.
func (r *nodeResource) rest(ctx context.Context, n core.Node, m inventoryModel, diags *diag.Diagnostics) core.Node {
	if !m.WaitClean.ValueBool() || n.State != core.Cleaning {
		return n
	}
	var told story
	now, err := r.pool.AwaitRest(ctx, n.ID, told.report(ctx))
	if now.ID != "" {
		n = now
	}
	switch {
	case err != nil:
		summary, detail := explain(err, &told)
		diags.AddWarning(summary, detail+"\n\nThe node is enrolled; its erase goes on.")
	case n.State == core.Quarantined:
		diags.AddWarning("Node "+string(n.ID)+" is Quarantined", sentence(n.Reason)+".\n\nWhat to do: see 'metalpool node show "+string(n.ID)+"'; once that is mended, 'metalpool node repair "+string(n.ID)+"' erases it again.")
	}
	return n
}

// Read asks the inventory, and not the server.
func (r *nodeResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state inventoryModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.Identity.Set(ctx, nameIdentity{state.Name})...)
	n, err := r.pool.Node(ctx, core.NodeID(state.Name.ValueString()))
	if core.Is(err, core.NotFound) {
		gone(ctx, resp, "Node "+state.Name.ValueString())
		return
	}
	if err != nil {
		nodeFault(&resp.Diagnostics, err)
		return
	}
	resp.Diagnostics.Append(state.fill(ctx, n)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// Update declares anew what has changed, and erases where that is asked for now.
func (r *nodeResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var config, plan, state inventoryModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, nameIdentity{state.Name})...)
	limit, diags := plan.Timeouts.Update(ctx, core.CleanPatience)
	resp.Diagnostics.Append(diags...)
	change, diags := plan.change(ctx, config, state)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	work, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	change.By = core.DeclaredInTerraform
	n, err := r.pool.SetNode(work, core.NodeID(state.Name.ValueString()), change)
	if err != nil {
		nodeFault(&resp.Diagnostics, err)
		return
	}
	if plan.Erase.ValueBool() && !state.Erase.ValueBool() {
		erased, err := r.putToUse(work, n)
		if err != nil {
			plan.Erase = types.BoolValue(false)
			nodeFault(&resp.Diagnostics, err)
		} else {
			n = r.rest(work, erased, plan, &resp.Diagnostics)
		}
	}
	resp.Diagnostics.Append(plan.fill(ctx, n)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// Delete retires the node, once the work on it that nobody owns has ended: a machine
// that was destroyed before it has left it to be erased.
func (r *nodeResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state inventoryModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	limit, diags := state.Timeouts.Delete(ctx, core.CleanPatience)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	work, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	id := core.NodeID(state.Name.ValueString())
	var told story
	n, err := r.pool.AwaitRest(work, id, told.report(ctx))
	if err == nil {
		err = r.pool.Retire(work, id, "terraform destroy")
	}
	switch {
	case core.Is(err, core.NotFound):
	case err != nil:
		nodeFault(&resp.Diagnostics, err)
	case n.State == core.Quarantined:
		resp.Diagnostics.AddWarning("The disks of node "+string(id)+" may hold data", "It was Quarantined when it was retired: "+n.Reason+".")
	}
}

// ImportState finds a node by its name.
func (r *nodeResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	name := importedName(ctx, req, resp)
	if resp.Diagnostics.HasError() {
		return
	}
	n, err := r.pool.Node(ctx, core.NodeID(name))
	if err != nil {
		nodeFault(&resp.Diagnostics, err)
		return
	}
	var times timeouts.Value
	resp.Diagnostics.Append(resp.State.GetAttribute(ctx, path.Root("timeouts"), &times)...)
	m, diags := broughtNode(ctx, n, times)
	resp.Diagnostics.Append(diags...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, nameIdentity{m.Name})...)
}

// broughtNode is a node that Terraform did not enroll, as an import and a list have it.
func broughtNode(ctx context.Context, n core.Node, times timeouts.Value) (inventoryModel, diag.Diagnostics) {
	// Whoever put it to use has said yes to its erase.
	m := inventoryModel{Labels: types.MapNull(textType), Erase: types.BoolValue(n.State != core.Quarantined), Timeouts: times}
	return m, m.fill(ctx, n)
}
