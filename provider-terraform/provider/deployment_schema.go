package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// redeploys is what a change does to a deployment, whose server is not its own to
// replace.
const redeploys = " **Changing it:** deploys the same server anew: its root disk is written over, its other disks stay as they are."

// deploymentModel is a metalpool_deployment in configuration, plan and state.
type deploymentModel struct {
	ID           types.String `tfsdk:"id"`
	AllocationID types.String `tfsdk:"allocation_id"`
	Node         types.String `tfsdk:"node"`
	systemModel

	Timeouts timeouts.Value `tfsdk:"timeouts"`
}

// machine is the deployment as the machine that its allocation becomes by it.
func (m deploymentModel) machine() machineModel {
	return machineModel{
		serverModel: serverModel{ID: m.AllocationID, Name: m.Hostname, Node: m.Node, Labels: types.MapNull(textType), Timeouts: m.Timeouts},
		systemModel: m.systemModel, AllowRedeploy: types.SetNull(textType),
	}
}

// take is the way back.
func (m *deploymentModel) take(whole machineModel) {
	m.systemModel, m.Node = whole.systemModel, whole.Node
}

func (r *deploymentResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_deployment"
}

func (r *deploymentResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	attributes := systemAttributes(redeploys)
	attributes["id"] = computed("The deployment's ID, new for each one.")
	attributes["node"] = computed("The server.")
	attributes["allocation_id"] = schema.StringAttribute{
		Required: true, Validators: notEmpty, PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()},
		MarkdownDescription: "The allocation whose server is deployed: `id` of a `metalpool_allocation`. It has one deployment at a time. **Changing it:** replacement: this server is turned off, and that allocation's is deployed.",
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "An operating system on the server of a `metalpool_allocation`, deployed until it answers SSH. It never takes another server: a deploy that fails is tried again on the same one by the next apply, and the allocation is untouched by it. Destroy turns the server off and leaves it, its disks as they are, to its allocation.",
		Attributes:          attributes,
		Blocks:              map[string]schema.Block{"timeouts": timesBlock(ctx, allTimes)},
	}
}
