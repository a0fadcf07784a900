package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// deployWithin is how long a server stays taken without an OS by default. It is long,
// since in an apply of many the deploys may begin hours after the servers were taken.
const deployWithin = "24h"

// allocationModel is a metalpool_allocation in configuration, plan and state.
type allocationModel struct {
	serverModel

	DeployWithin types.String `tfsdk:"deploy_within"`
}

func (r *allocationResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_allocation"
}

func (r *allocationResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	attributes := serverAttributes(notReserved{})
	attributes["deploy_within"] = schema.StringAttribute{
		Optional: true, Computed: true, Default: stringdefault.StaticString(deployWithin), Validators: []validator.String{duration{}},
		MarkdownDescription: "How long the server may stay without a deployment, such as `1h`; by default `" + deployWithin + "`. After that others may take it. Once something was deployed it has no end." + setting + " It counts from when a server is taken, and so for the next one.",
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "A server taken for its owner, without an operating system: `metalpool_deployment` puts one on it. Use the two where a deploy that fails, or that is made anew, must never cost the server; else `metalpool_machine` is both in one. Nothing is done to the server when it is taken. Destroy gives it back: it is off when destroy returns, and erased before anybody gets it, unless nothing was ever deployed on it.",
		Attributes:          attributes,
		Blocks: map[string]schema.Block{
			"requirements": requirementsBlock(),
			"timeouts":     timesBlock(ctx, allTimes),
		},
	}
}
