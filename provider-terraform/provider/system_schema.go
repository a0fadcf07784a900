package provider

import (
	"maps"
	"regexp"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/boolplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/listplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// systemModel is what is deployed on a server, of a metalpool_machine as of a
// metalpool_deployment.
type systemModel struct {
	State types.String `tfsdk:"state"`

	Address       types.String `tfsdk:"address"`
	DockerPort    types.Int64  `tfsdk:"docker_port"`
	SSHHostKeys   types.List   `tfsdk:"ssh_host_keys"`
	SSHHostKey    types.String `tfsdk:"ssh_host_key"`
	SSHKnownHosts types.String `tfsdk:"ssh_known_hosts"`
	Managed       types.Bool   `tfsdk:"managed"`

	Image             types.String `tfsdk:"image"`
	Profile           types.String `tfsdk:"profile"`
	Hostname          types.String `tfsdk:"hostname"`
	SSHUser           types.String `tfsdk:"ssh_user"`
	SSHPort           types.Int64  `tfsdk:"ssh_port"`
	SSHKeys           types.List   `tfsdk:"ssh_keys"`
	UserData          types.String `tfsdk:"user_data"`
	UserDataWO        types.String `tfsdk:"user_data_wo"`
	UserDataWOVersion types.Int64  `tfsdk:"user_data_wo_version"`
	PostDeploy        types.String `tfsdk:"post_deploy"`
	PostDeployVersion types.Int64  `tfsdk:"post_deploy_version"`

	PowerState types.String `tfsdk:"power_state"`
	WaitFor    types.String `tfsdk:"wait_for"`
}

// noSystem is where nothing is deployed yet.
func noSystem() systemModel {
	return systemModel{SSHKeys: types.ListNull(textType), SSHHostKeys: types.ListNull(textType)}
}

// waits are the words of wait_for.
var waits = map[string]core.WaitFor{"deployed": core.UntilStarted, "ssh": core.UntilSSH, "cloud_init": core.UntilCloudInit}

// redeployable are the attributes that allow_redeploy may list.
var redeployable = []string{"image", "profile", "hostname", "ssh_user", "ssh_port", "ssh_keys", "user_data", "user_data_wo_version", "post_deploy_version"}

// notBlank is a script: one without anything in it is of the wrong file, and would be taken
// for none.
var notBlank validator.String = stringvalidator.RegexMatches(regexp.MustCompile(`\S`), "must not be blank; leave it out, or null, where there is no script")

// systemAttributes are those of systemModel; change says what becomes of the server where
// one that is redeployable changes.
func systemAttributes(change string) map[string]schema.Attribute {
	port := []validator.Int64{int64validator.Between(1, 65535)}
	power := chosen("`on` or `off`. Where it is left out the power is only told. **Changing it:** in place; the OS is asked to shut down, and after a while the power is cut.")
	power.Validators = []validator.String{stringvalidator.OneOf(powerOn, powerOff)}
	return map[string]schema.Attribute{
		"state":   computed("Where it is in its life: `Deployed`, once it is ready. One that is `Failed` or half-way is finished by the next apply."),
		"address": computed("How the machine is reached. A new deploy may change it."),
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
		"image": chosen("OS image of the pool's catalogue; by default the pool's. A new default of the pool changes nothing here." + change),
		"profile": schema.StringAttribute{
			Optional: true, Validators: notEmpty,
			MarkdownDescription: "Choice of the operator's steps, of those that the pool offers; by default the pool's own, as it is when the machine is deployed. A profile that changes, or another default of the pool, changes nothing here." + change,
		},
		"hostname": chosen("Host name of the OS; by default the machine's name when it was first deployed." + change),
		"ssh_user": chosen("Who logs in; by default the image's user." + change),
		"ssh_port": schema.Int64Attribute{
			Optional: true, Computed: true, PlanModifiers: keepNumber, Validators: port,
			MarkdownDescription: "Port of SSH; by default the server's." + change,
		},
		"ssh_keys": schema.ListAttribute{
			Required: true, ElementType: textType, Validators: []validator.List{listvalidator.SizeAtLeast(1)}, PlanModifiers: []planmodifier.List{lines{}},
			MarkdownDescription: "Public keys that may log in, in the format of `authorized_keys`. Where `managed` is true, a change is made on the machine that runs, and keys that others put there stay; elsewhere:" + change,
		},
		"user_data": schema.StringAttribute{
			Optional: true, Validators: []validator.String{stringvalidator.ConflictsWith(path.MatchRoot("user_data_wo"))},
			MarkdownDescription: "cloud-init user data for the first boot. It is stored in the state, in plain text: for anything secret use `user_data_wo`." + change,
		},
		"user_data_wo": schema.StringAttribute{
			Optional: true, WriteOnly: true, Sensitive: true,
			Validators:          []validator.String{stringvalidator.AlsoRequires(path.MatchRoot("user_data_wo_version"))},
			MarkdownDescription: "cloud-init user data that is never stored, neither in the plan nor in the state. Terraform cannot tell when it changes: change `user_data_wo_version` with it.",
		},
		"user_data_wo_version": schema.Int64Attribute{
			Optional:            true,
			Validators:          []validator.Int64{int64validator.AlsoRequires(path.MatchRoot("user_data_wo"))},
			MarkdownDescription: "Version of `user_data_wo`, counted by you." + change,
		},
		"post_deploy": schema.StringAttribute{
			// Not Sensitive, which would not hide more: Terraform, asked not to refresh, plans an
			// update of every resource of an older state that has no such mark.
			Optional: true, WriteOnly: true,
			Validators:          []validator.String{notBlank, stringvalidator.AlsoRequires(path.MatchRoot("post_deploy_version"))},
			MarkdownDescription: "A script of your own, run as root over SSH once the machine is deployed and the steps of its pool are done; where it fails, so does the deploy. It is never stored, neither in the plan nor in the state. Terraform cannot tell when it changes: change `post_deploy_version` with it.",
		},
		"post_deploy_version": schema.Int64Attribute{
			Optional:            true,
			Validators:          []validator.Int64{int64validator.AlsoRequires(path.MatchRoot("post_deploy"))},
			MarkdownDescription: "Version of `post_deploy`, counted by you." + change,
		},
		"power_state": power,
		"wait_for": schema.StringAttribute{
			Optional: true, Validators: []validator.String{stringvalidator.OneOf(slices.Sorted(maps.Keys(waits))...)},
			MarkdownDescription: "How far a machine is to come before it counts as deployed: `deployed`: its disk was written and verified, and its OS told to start; nobody looks whether it does, which is for images without SSH and for networks that are not reached from here; `ssh`, the default: SSH shows the host key that was made for it; `cloud_init`: cloud-init, too, has done all that user data asks, without an error, which metalpool logs in to see. The plan refuses that in a pool that keeps no management key." + setting + " It counts from the next deploy on.",
		},
	}
}
