package provider

import (
	"context"
	"maps"

	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

var textType = types.StringType

// What a change of an attribute does. The plan is decided in machine_plan.go.
const (
	inPlace  = " **Changing it:** in place; the server notices nothing."
	setting  = " **Changing it:** in place; it is a setting of the provider, and no server is touched."
	replaces = " **Changing it:** replacement by another server; this one is given back and erased."
	redeploy = " **Changing it:** deploys the same server anew where `allow_redeploy` lists it; else replacement."
)

func (r *machineResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_machine"
}

func (r *machineResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{Attributes: map[string]identityschema.Attribute{
		"id": identityschema.StringAttribute{RequiredForImport: true, Description: "The allocation's ID in the pool."},
	}}
}

func (r *machineResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	attributes := serverAttributes()
	maps.Copy(attributes, systemAttributes(redeploy))
	attributes["allow_redeploy"] = schema.SetAttribute{
		Optional: true, ElementType: textType,
		Validators:          []validator.Set{setvalidator.ValueStringsAre(stringvalidator.OneOf(redeployable...))},
		MarkdownDescription: "Attributes of which a change deploys the same server anew: its root disk is written over, its other disks stay as they are. Any of `image`, `profile`, `hostname`, `ssh_user`, `ssh_port`, `ssh_keys`, `user_data`, `user_data_wo_version`, `post_deploy_version`." + setting,
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "A server with an operating system that answers SSH. Create takes a server of the pool and deploys it; destroy gives it back: it is off when destroy returns, and erased before anybody gets it.",
		Attributes:          attributes,
		Blocks: map[string]schema.Block{
			"requirements": requirementsBlock(),
			"timeouts":     timesBlock(ctx, allTimes),
		},
	}
}
