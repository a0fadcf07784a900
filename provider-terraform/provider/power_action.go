package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// powerTimeout is for a server's power and for the start of its OS. A slow server's
// firmware alone takes ten minutes.
const powerTimeout = 30 * time.Minute

// powerAction is metalpool_power.
type powerAction struct{ deed }

func newPowerAction() action.Action { return &powerAction{deed{op: "turn the power of"}} }

type powerModel struct {
	deedModel

	Power types.String `tfsdk:"power"`
}

func (a *powerAction) Metadata(_ context.Context, req action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_power"
}

func (a *powerAction) Schema(ctx context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = deedSchema(ctx, "Turns the power of a machine that is `Deployed`, once. To keep it on or off, use `power_state` of the resource: where that is set, the next plan undoes what this action did.",
		map[string]schema.Attribute{
			"power": schema.StringAttribute{
				Required:            true,
				Validators:          []validator.String{stringvalidator.OneOf(string(core.TurnOn), string(core.ShutDown), string(core.TurnOff), string(core.PowerRestart))},
				MarkdownDescription: "`on`; `shutdown`: the OS is asked, and after a while the power is cut; `off`: the power is cut at once; `restart`: off and on again, at once. After `on` and `restart` the action waits until SSH answers, unless the machine was deployed with `wait_for = \"deployed\"`.",
			},
		})
}

// Invoke implements action.Action.
func (a *powerAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var m powerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	there, err := a.pool.held(ctx, a.op, m.MachineID, m.Owner)
	if err != nil {
		fault(&resp.Diagnostics, err, machineIDPath)
		return
	}
	a.perform(ctx, m.deedModel, powerTimeout, resp, func(ctx context.Context, limit time.Duration, report core.Reporter) error {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		verb := core.PowerVerb(m.Power.ValueString())
		report(core.Progress{Node: there.Node, Step: "power", Message: string(verb)})
		if err := a.pool.SetPower(ctx, there.ID, verb); err != nil || verb == core.TurnOff || verb == core.ShutDown {
			return err
		}
		report(core.Progress{Node: there.Node, Step: "ssh", Message: "waiting for SSH"})
		return core.AwaitSSH(ctx, there.Access)
	})
}
