package provider

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/boolplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/listplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

var textType = types.StringType

// What a change of an attribute does. The plan is decided in machine_plan.go.
const (
	inPlace  = " **Changing it:** in place; the server notices nothing."
	setting  = " **Changing it:** in place; it is a setting of the provider, and no server is touched."
	replaces = " **Changing it:** replacement by another server; this one is given back and erased."
	redeploy = " **Changing it:** deploys the same server anew where `allow_redeploy` lists it; else replacement."
)

// waits are the words of wait_for. That the server was written to is nothing of its own
// to wait for: without SSH's answer nobody knows that it starts.
var waits = map[string]core.WaitFor{"ssh": core.UntilSSH, "cloud_init": core.UntilCloudInit}

// redeployable are the attributes that allow_redeploy may list.
var redeployable = []string{"image", "hostname", "ssh_user", "ssh_port", "ssh_keys", "user_data", "user_data_wo_version"}

func (r *machineResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_machine"
}

func (r *machineResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{Attributes: map[string]identityschema.Attribute{
		"id": identityschema.StringAttribute{RequiredForImport: true, Description: "The allocation's ID in the pool."},
	}}
}

func (r *machineResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	keepText := []planmodifier.String{stringplanmodifier.UseStateForUnknown()}
	keepNumber := []planmodifier.Int64{int64planmodifier.UseStateForUnknown()}
	port := []validator.Int64{int64validator.Between(1, 65535)}
	computed := func(doc string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, PlanModifiers: keepText, MarkdownDescription: doc}
	}
	chosen := func(doc string) schema.StringAttribute {
		return schema.StringAttribute{Optional: true, Computed: true, PlanModifiers: keepText, Validators: notEmpty, MarkdownDescription: doc}
	}
	architecture := chosen("Architecture: `amd64` or `arm64`; by default the image's." + replaces)
	architecture.PlanModifiers = append([]planmodifier.String{arch}, keepText...)
	architecture.Validators = []validator.String{arch}
	power := chosen("`on` or `off`. Where it is left out the power is only told. **Changing it:** in place; the OS is asked to shut down, and after a while the power is cut.")
	power.Validators = []validator.String{stringvalidator.OneOf(powerOn, powerOff)}

	resp.Schema = schema.Schema{
		MarkdownDescription: "A server with an operating system that answers SSH. Create takes a server of the pool and deploys it; destroy gives it back: it is off when destroy returns, and erased before anybody gets it.",
		Attributes: map[string]schema.Attribute{
			"id":         computed("The allocation's ID in the pool. It outlives renaming, and is what import takes."),
			"owner":      computed("Who owns the machine: the provider's owner when it was created."),
			"state":      computed("Where it is in its life: `Deployed`, once it is ready. A machine that is `Failed` or half-way is finished by the next apply."),
			"created_at": computed("When the server was taken, RFC 3339."),
			"address":    computed("How the machine is reached. A new deploy may change it."),
			"docker_port": schema.Int64Attribute{
				Computed: true, PlanModifiers: keepNumber,
				MarkdownDescription: "Where a Docker engine's TLS port is reached.",
			},
			"ssh_host_keys": schema.ListAttribute{
				Computed: true, ElementType: textType, PlanModifiers: []planmodifier.List{listplanmodifier.UseStateForUnknown()},
				MarkdownDescription: "The public host keys that were made for this deploy: nobody else can pose as the machine.",
			},
			"ssh_host_key":    computed("The one of these keys that Terraform's own SSH client asks for, for `connection { host_key = … }`."),
			"ssh_known_hosts": computed("The same keys as lines of a `known_hosts` file."),
			"managed": schema.BoolAttribute{
				Computed: true, PlanModifiers: []planmodifier.Bool{boolplanmodifier.UseStateForUnknown()},
				MarkdownDescription: "Whether `ssh_keys` can be changed while the machine runs: the pool kept a management key when it was deployed (`metalpool pool set POOL --management-key always`).",
			},
			"name": schema.StringAttribute{
				Required: true, Validators: notEmpty,
				MarkdownDescription: "Name, unique among the owner's machines: letters, digits and dashes, at most 63." + inPlace,
			},
			"labels": schema.MapAttribute{
				Optional: true, ElementType: textType,
				MarkdownDescription: "Your own notes on the machine." + inPlace,
			},
			"pool": chosen("The pool to take a server from; by default `default`." + replaces),
			"node": chosen("Take exactly this server. Where it is left out: the server that was chosen." + replaces),
			"arch": architecture,
			"image": chosen("OS image of the pool's catalogue; by default the pool's. A new default of the pool changes nothing here." +
				redeploy),
			"hostname": chosen("Host name of the OS; by default the machine's name when it was created." + redeploy),
			"ssh_user": chosen("Who logs in; by default the image's user." + redeploy),
			"ssh_port": schema.Int64Attribute{
				Optional: true, Computed: true, PlanModifiers: keepNumber, Validators: port,
				MarkdownDescription: "Port of SSH; by default the server's." + redeploy,
			},
			"ssh_keys": schema.ListAttribute{
				Required: true, ElementType: textType, Validators: []validator.List{listvalidator.SizeAtLeast(1)}, PlanModifiers: []planmodifier.List{lines{}},
				MarkdownDescription: "Public keys that may log in, in the format of `authorized_keys`. Where `managed` is true, a change is made on the machine that runs, and keys that others put there stay; elsewhere:" + redeploy,
			},
			"user_data": schema.StringAttribute{
				Optional: true, Validators: []validator.String{stringvalidator.ConflictsWith(path.MatchRoot("user_data_wo"))},
				MarkdownDescription: "cloud-init user data for the first boot. It is stored in the state, in plain text: for anything secret use `user_data_wo`." + redeploy,
			},
			"user_data_wo": schema.StringAttribute{
				Optional: true, WriteOnly: true, Sensitive: true,
				Validators:          []validator.String{stringvalidator.AlsoRequires(path.MatchRoot("user_data_wo_version"))},
				MarkdownDescription: "cloud-init user data that is never stored, neither in the plan nor in the state. Terraform cannot tell when it changes: change `user_data_wo_version` with it.",
			},
			"user_data_wo_version": schema.Int64Attribute{
				Optional:            true,
				Validators:          []validator.Int64{int64validator.AlsoRequires(path.MatchRoot("user_data_wo"))},
				MarkdownDescription: "Version of `user_data_wo`, counted by you." + redeploy,
			},
			"allow_redeploy": schema.SetAttribute{
				Optional: true, ElementType: textType,
				Validators:          []validator.Set{setvalidator.ValueStringsAre(stringvalidator.OneOf(redeployable...))},
				MarkdownDescription: "Attributes of which a change deploys the same server anew: its root disk is written over, its other disks stay as they are. Any of `image`, `hostname`, `ssh_user`, `ssh_port`, `ssh_keys`, `user_data`, `user_data_wo_version`." + setting,
			},
			"power_state": power,
			"deletion_protection": schema.BoolAttribute{
				Optional: true, Computed: true, Default: booldefault.StaticBool(false),
				MarkdownDescription: "Refuses, already when planning, to destroy or replace the machine. Set it to `false` and apply first." + setting,
			},
			"wait": schema.StringAttribute{
				Optional: true, Validators: []validator.String{duration{}},
				MarkdownDescription: "How long to queue, first come first served, while all matching servers are taken, such as `30m`; `0s` is not at all. By default only for servers that are being erased, as after a replacement, and as long as `timeouts` allows for create." + setting,
			},
			"wait_for": schema.StringAttribute{
				Optional: true, Validators: []validator.String{stringvalidator.OneOf(slices.Sorted(maps.Keys(waits))...)},
				MarkdownDescription: "How far a machine is to come before it counts as deployed: `ssh`, the default: SSH shows the host key that was made for it; `cloud_init`: cloud-init, too, has done all that user data asks, without an error, which metalpool logs in to see. The plan refuses that in a pool that keeps no management key." + setting + " It counts from the next deploy on.",
			},
			"wait_clean": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Destroy waits until the server is erased and Available again; else only until its power was read back as off." + setting,
			},
		},
		Blocks: map[string]schema.Block{
			"requirements": requirementsBlock(),
			"timeouts":     timeouts.BlockAll(ctx),
		},
	}
}
