package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/action/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// deed is what all actions have: the machine that they work on.
type deed struct {
	pool *pool
	op   string   // what is asked, for errors
	own  []string // attributes that a pool may find fault with
	ends bool     // it gives the machine up, and may be asked of one that was
}

type deedModel struct {
	MachineID types.String   `tfsdk:"machine_id"`
	Owner     types.String   `tfsdk:"owner"`
	Timeouts  timeouts.Value `tfsdk:"timeouts"`
}

// Configure implements action.ActionWithConfigure.
func (d *deed) Configure(_ context.Context, req action.ConfigureRequest, _ *action.ConfigureResponse) {
	d.pool, _ = req.ProviderData.(*pool)
}

// deedSchema is that of deedModel, with what an action has beside it.
func deedSchema(ctx context.Context, doc string, more map[string]schema.Attribute) schema.Schema {
	more["machine_id"] = schema.StringAttribute{Required: true, Validators: notEmpty, MarkdownDescription: machineIDDoc}
	more["owner"] = schema.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: ownerDoc}
	return schema.Schema{
		MarkdownDescription: doc,
		Attributes:          more,
		Blocks:              map[string]schema.Block{"timeouts": actionTimesBlock(ctx)},
	}
}

// ModifyPlan refuses in the plan what can never be done. What state the machine is in
// counts at the time of the action.
func (d *deed) ModifyPlan(ctx context.Context, req action.ModifyPlanRequest, resp *action.ModifyPlanResponse) {
	var id, owner types.String
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, machineIDPath, &id)...)
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("owner"), &owner)...)
	if resp.Diagnostics.HasError() || d.pool == nil || id.IsUnknown() || owner.IsUnknown() {
		return
	}
	there, err := d.pool.owned(ctx, d.op, id, owner)
	if err == nil && there.State.Ended() && !d.ends {
		err = givenUp(d.op, there)
	}
	if err != nil {
		fault(&resp.Diagnostics, err, machineIDPath)
	}
}

// perform does the work of an action on a machine: within its time, telling Terraform
// of its progress.
func (d *deed) perform(ctx context.Context, m deedModel, usual time.Duration, resp *action.InvokeResponse, work func(ctx context.Context, limit time.Duration, report core.Reporter) error) {
	limit, diags := m.Timeouts.Invoke(ctx, usual)
	resp.Diagnostics.Append(diags...)
	if diags.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit+core.CallMargin)
	defer cancel()
	tell, end := forward(ctx, resp.SendProgress)
	defer end()
	told := story{next: ofAction, also: tell}
	if err := work(ctx, limit, told.report(ctx)); err != nil {
		actionFault(&resp.Diagnostics, err, &told, d.own)
	}
}

// unsaid is how many lines of progress may wait for Terraform to take them.
const unsaid = 64

// forward sends lines to Terraform. Who stopped listening takes none any more, and work
// on a server must not wait for that: a line that finds no room is left out.
func forward(ctx context.Context, send func(action.InvokeProgressEvent)) (tell func(string), end func()) {
	lines, over, quit := make(chan string, unsaid), make(chan struct{}), make(chan struct{})
	pass := func(line string) { send(action.InvokeProgressEvent{Message: line}) }
	go func() {
		defer close(over)
		for {
			select {
			case line := <-lines:
				pass(line)
			case <-quit:
				for { // what was told before the end
					select {
					case line := <-lines:
						pass(line)
					default:
						return
					}
				}
			}
		}
	}()
	tell = func(line string) {
		select {
		case lines <- line:
		default:
		}
	}
	return tell, func() {
		close(quit)
		select {
		case <-over:
		case <-ctx.Done():
		}
	}
}
