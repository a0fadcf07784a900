package provider

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// releaseAction is metalpool_release.
type releaseAction struct{ deed }

func newReleaseAction() action.Action { return &releaseAction{deed{op: "release", ends: true}} }

type releaseModel struct {
	deedModel

	DeletionProtection types.Bool `tfsdk:"deletion_protection"`
	WaitClean          types.Bool `tfsdk:"wait_clean"`
}

var protectionPath = path.Root("deletion_protection")

func (a *releaseAction) Metadata(_ context.Context, req action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_release"
}

func (a *releaseAction) Schema(ctx context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = deedSchema(ctx, "Gives a machine back, whatever state it is in: its server is switched off, and **all its disks are erased** before anybody gets it. Where a resource has the machine, the next plan takes another server for it; to give up both, destroy the resource instead.",
		map[string]schema.Attribute{
			"deletion_protection": schema.BoolAttribute{
				Required:            true,
				MarkdownDescription: "`deletion_protection` of the resource: an action sees nothing of it unless told. `true` refuses, already in the plan. `false` for a machine that no resource has.",
			},
			"wait_clean": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Wait until the server is erased and Available again; else only until its power was read back as off.",
			},
		})
}

// ModifyPlan implements action.ActionWithModifyPlan.
func (a *releaseAction) ModifyPlan(ctx context.Context, req action.ModifyPlanRequest, resp *action.ModifyPlanResponse) {
	var id types.String
	var protected types.Bool
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, machineIDPath, &id)...)
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, protectionPath, &protected)...)
	if protected.ValueBool() {
		fault(&resp.Diagnostics, protectedMachine(id), protectionPath)
		return
	}
	a.deed.ModifyPlan(ctx, req, resp)
}

func protectedMachine(id types.String) error {
	return &core.Error{
		Op: "release", Allocation: id.ValueString(), Kind: core.Denied, Err: errors.New("the machine is protected: to release it would give its server back and erase its disks"),
		Hint: "set deletion_protection = false in its resource, apply that, and then ask again",
	}
}

// Invoke implements action.Action. One that was cut off is gone on with when invoked
// again: what was given up stays so.
func (a *releaseAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var m releaseModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if m.DeletionProtection.ValueBool() {
		fault(&resp.Diagnostics, protectedMachine(m.MachineID), protectionPath)
		return
	}
	there, err := a.pool.owned(ctx, a.op, m.MachineID, m.Owner)
	if err != nil {
		fault(&resp.Diagnostics, err, machineIDPath)
		return
	}
	usual := core.ReleasePatience
	if m.WaitClean.ValueBool() {
		usual = core.CleanPatience
	}
	a.perform(ctx, m.deedModel, usual, resp, func(ctx context.Context, limit time.Duration, report core.Reporter) error {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return a.pool.Release(ctx, there.ID, core.ReleaseOptions{WaitClean: m.WaitClean.ValueBool(), Reason: "released by an action of terraform"}, report)
	})
}
