package provider

import (
	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// serverModel is a server that is taken, of a metalpool_machine as of a
// metalpool_allocation.
type serverModel struct {
	ID        types.String `tfsdk:"id"`
	Owner     types.String `tfsdk:"owner"`
	CreatedAt types.String `tfsdk:"created_at"`

	Name         types.String `tfsdk:"name"`
	Labels       types.Map    `tfsdk:"labels"`
	Pool         types.String `tfsdk:"pool"`
	Node         types.String `tfsdk:"node"`
	Arch         types.String `tfsdk:"arch"`
	Requirements types.Object `tfsdk:"requirements"`

	DeletionProtection types.Bool     `tfsdk:"deletion_protection"`
	TTL                types.String   `tfsdk:"ttl"`
	Wait               types.String   `tfsdk:"wait"`
	WaitClean          types.Bool     `tfsdk:"wait_clean"`
	Timeouts           timeouts.Value `tfsdk:"timeouts"`
}

// serverAttributes are those of serverModel, without its blocks; labels are what its
// labels must satisfy beyond the pool's own rule.
func serverAttributes(labels ...validator.Map) map[string]schema.Attribute {
	architecture := chosen("Architecture: `amd64` or `arm64`; by default the image's, or any where no image is known yet." + replaces)
	architecture.PlanModifiers = append([]planmodifier.String{arch}, keepText...)
	architecture.Validators = []validator.String{arch}
	return map[string]schema.Attribute{
		"id":         computed("The allocation's ID in the pool. It outlives renaming, and is what import takes."),
		"owner":      computed("Who owns the machine: the provider's owner when it was created."),
		"created_at": computed("When the server was taken, RFC 3339."),
		"name": schema.StringAttribute{
			Required: true, Validators: []validator.String{machineName},
			MarkdownDescription: "Name, unique among the owner's machines: letters, digits and dashes, at most 63." + inPlace,
		},
		"labels": schema.MapAttribute{
			Optional: true, ElementType: textType, Validators: append([]validator.Map{labelled{}}, labels...),
			MarkdownDescription: "Your own notes on it." + inPlace,
		},
		"pool": chosen("The pool to take a server from; by default `default`." + replaces),
		"node": chosen("Take exactly this server. Where it is left out: the server that was chosen." + replaces),
		"arch": architecture,
		"deletion_protection": schema.BoolAttribute{
			Optional: true, Computed: true, Default: booldefault.StaticBool(false),
			MarkdownDescription: "Refuses, already when planning, to give the server back. Set it to `false` and apply first." + setting,
		},
		"ttl": schema.StringAttribute{
			Optional: true, Validators: []validator.String{duration{}},
			MarkdownDescription: "How long it is kept, such as `8h`, once it has a server: then the pool releases it, whatever runs on it, and the next plan takes another one. By default until it is destroyed. A change counts from its apply." + inPlace,
		},
		"wait": schema.StringAttribute{
			Optional: true, Validators: []validator.String{duration{}},
			MarkdownDescription: "How long to queue, first come first served, while all matching servers are taken, such as `30m`; `0s` is not at all. By default only for servers that are being erased, as after a replacement, and as long as `timeouts` allows for create." + setting,
		},
		"wait_clean": schema.BoolAttribute{
			Optional:            true,
			MarkdownDescription: "Destroy waits until the server is erased and Available again; else only until its power was read back as off." + setting,
		},
	}
}
