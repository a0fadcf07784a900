package provider

import (
	"context"
	"errors"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// Private state remembers that a machine was imported: its user data is not known.
const (
	importedKey   = "imported"
	importedValue = "true"
)

// ImportState finds a machine by its ID, by owner/name, by its name alone among the
// provider's owner's, or by its identity.
func (r *machineResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	there, ok := r.imported(ctx, req, resp)
	if !ok {
		return
	}
	var times timeouts.Value
	resp.Diagnostics.Append(resp.State.GetAttribute(ctx, path.Root("timeouts"), &times)...)
	m, diags := broughtMachine(ctx, there, times)
	resp.Diagnostics.Append(diags...)
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, machineIdentity{ID: m.ID})...)
	resp.Diagnostics.Append(resp.Private.SetKey(ctx, importedKey, []byte(importedValue))...)
}

// broughtMachine is a machine that Terraform did not make, as an import and a list have
// it; times are the timeouts that nobody has set.
func broughtMachine(ctx context.Context, there core.Machine, times timeouts.Value) (machineModel, diag.Diagnostics) {
	m := machineModel{
		serverModel: serverModel{Labels: types.MapNull(textType), DeletionProtection: types.BoolValue(false), Timeouts: times},
		systemModel: noSystem(), AllowRedeploy: types.SetNull(textType),
	}
	block, diags := requirements(ctx, there.Request)
	m.Requirements = block
	diags.Append(m.fill(ctx, there)...)
	return m, diags
}

// imported finds what an import names.
func (r *machineResource) imported(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) (core.Machine, bool) {
	word := req.ID
	if word == "" && req.Identity != nil && !req.Identity.Raw.IsNull() {
		var identity machineIdentity
		resp.Diagnostics.Append(req.Identity.Get(ctx, &identity)...)
		word = identity.ID.ValueString()
	}
	if word == "" && !resp.Diagnostics.HasError() {
		fault(&resp.Diagnostics, nothingNamed("an ID, or OWNER/NAME, as 'metalpool machine list' shows them"), path.Empty())
	}
	if resp.Diagnostics.HasError() {
		return core.Machine{}, false
	}
	there, err := r.find(ctx, word)
	if err != nil {
		fault(&resp.Diagnostics, err, path.Empty())
	}
	return there, err == nil
}

// find finds a machine that was not given up.
func (r *machineResource) find(ctx context.Context, word string) (core.Machine, error) {
	if owner, name, ok := core.SplitOwner(word); ok {
		return r.pool.MachineNamed(ctx, owner, name)
	}
	there, err := r.pool.Machine(ctx, core.AllocationID(word))
	if core.Is(err, core.NotFound) {
		if named, err := r.pool.MachineNamed(ctx, r.pool.owner, word); err == nil {
			return named, nil
		}
		return there, &core.Error{Op: "import", Allocation: word, Kind: core.NotFound, Err: errors.New("no allocation has this ID, and " + r.pool.owner + " has no machine of this name"), Hint: "give an ID, or OWNER/NAME, as 'metalpool machine list' shows them"}
	}
	if err == nil && there.State.Ended() {
		return there, &core.Error{Op: "import", Allocation: word, Kind: core.Invalid, Err: errors.New("the machine was given up: " + string(there.State) + ", " + there.Reason), Hint: "create a new one"}
	}
	return there, err
}
