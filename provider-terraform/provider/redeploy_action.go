package provider

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// redeployAction is metalpool_redeploy: what is deployed already, again. Another image or
// other keys are its resource's to declare; the next plan would undo what came by here.
type redeployAction struct{ deed }

func newRedeployAction() action.Action {
	return &redeployAction{deed{op: "redeploy", own: []string{"user_data", "post_deploy", "wait_for"}}}
}

type redeployModel struct {
	deedModel

	UserData   types.String `tfsdk:"user_data"`
	PostDeploy types.String `tfsdk:"post_deploy"`
	WaitFor    types.String `tfsdk:"wait_for"`
}

func (a *redeployAction) Metadata(_ context.Context, req action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_redeploy"
}

func (a *redeployAction) Schema(ctx context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = deedSchema(ctx, "Deploys a machine again, on the same server: the same image, profile, host name, user and keys. Its root disk is **written over**, its other disks stay as they are; it gets new SSH host keys, which the state has after the next refresh.\n\n"+
		"The machine must be `Deployed` or `Failed`. `deletion_protection` does not stand in its way: the server is not given up. To deploy something else, change the resource.",
		map[string]schema.Attribute{
			"user_data": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "cloud-init user data for the first boot. The pool has not kept what the machine was deployed with: give it again, or it is deployed without. It is in no state; but a plan shows it, unless its value is marked sensitive, and a saved plan has it, as it has the whole configuration.",
			},
			"post_deploy": schema.StringAttribute{
				Optional: true, Validators: []validator.String{notBlank},
				MarkdownDescription: "A script of your own, run as root once all else is done. As with `user_data` the pool has not kept the one before.",
			},
			"wait_for": schema.StringAttribute{
				Optional: true, Validators: []validator.String{stringvalidator.OneOf(slices.Sorted(maps.Keys(waits))...)},
				MarkdownDescription: "How far it is to come: `deployed`, `ssh`, the default, or `cloud_init`, as for the resource.",
			},
		})
}

// Invoke implements action.Action.
func (a *redeployAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var m redeployModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	there, err := a.pool.held(ctx, a.op, m.MachineID, m.Owner)
	var o core.Order
	if err == nil {
		o, err = again(there)
	}
	if err != nil {
		fault(&resp.Diagnostics, err, machineIDPath)
		return
	}
	a.perform(ctx, m.deedModel, updateTimeout, resp, func(ctx context.Context, limit time.Duration, report core.Reporter) error {
		o.UserData, o.PostDeploy = []byte(m.UserData.ValueString()), []byte(m.PostDeploy.ValueString())
		o.WaitFor, o.DeployTimeout = waits[m.WaitFor.ValueString()], limit
		_, err := a.pool.Deploy(ctx, o, report)
		return err
	})
}

// again is the order that deploys a machine again, or why there is none, with what to do
// about that here.
func again(there core.Machine) (core.Order, error) {
	o, err := there.Again("")
	if why, ok := errors.AsType[*core.Error](err); ok {
		switch why.Kind {
		case core.Busy:
			why.Hint = "ask again once that has ended; the next apply of its resource goes on with it where nobody does"
		case core.Invalid:
			why.Hint = "deploy it with a metalpool_deployment"
		}
	}
	return o, err
}
