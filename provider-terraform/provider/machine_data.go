package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// machineData is metalpool_machine as a data source.
type machineData struct{ source }

func newMachineData() datasource.DataSource { return &machineData{} }

type machineDataModel struct {
	ID            types.String      `tfsdk:"id"`
	Owner         types.String      `tfsdk:"owner"`
	Name          types.String      `tfsdk:"name"`
	State         types.String      `tfsdk:"state"`
	Reason        types.String      `tfsdk:"reason"`
	Pool          types.String      `tfsdk:"pool"`
	Node          types.String      `tfsdk:"node"`
	Image         types.String      `tfsdk:"image"`
	Labels        map[string]string `tfsdk:"labels"`
	Hostname      types.String      `tfsdk:"hostname"`
	Address       types.String      `tfsdk:"address"`
	DockerPort    types.Int64       `tfsdk:"docker_port"`
	SSHUser       types.String      `tfsdk:"ssh_user"`
	SSHPort       types.Int64       `tfsdk:"ssh_port"`
	SSHHostKeys   types.List        `tfsdk:"ssh_host_keys"`
	SSHHostKey    types.String      `tfsdk:"ssh_host_key"`
	SSHKnownHosts types.String      `tfsdk:"ssh_known_hosts"`
	Managed       types.Bool        `tfsdk:"managed"`
	CreatedAt     types.String      `tfsdk:"created_at"`
}

func (d *machineData) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_machine"
}

func (d *machineData) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	text := func(doc string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: doc}
	}
	number := func(doc string) schema.Int64Attribute {
		return schema.Int64Attribute{Computed: true, MarkdownDescription: doc}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "A machine that something else takes care of: another configuration, docker-machine, or a person.",
		Attributes: map[string]schema.Attribute{
			"id": schema.StringAttribute{
				Optional: true, Computed: true, MarkdownDescription: "Its ID in the pool. Give this, or `name`.",
				Validators: []validator.String{stringvalidator.ExactlyOneOf(path.MatchRoot("id"), path.MatchRoot("name"))},
			},
			"name": schema.StringAttribute{Optional: true, Computed: true, MarkdownDescription: "Its name among its owner's machines."},
			"owner": schema.StringAttribute{
				Optional: true, Computed: true, MarkdownDescription: "Whose machine `name` is; by default the provider's owner's.",
				Validators: []validator.String{stringvalidator.AlsoRequires(path.MatchRoot("name"))},
			},
			"state":           text("Where it is in its life: `Deployed` once it is ready."),
			"reason":          text("Why it is there, for people."),
			"pool":            text("The pool that its server is of."),
			"node":            text("Its server."),
			"image":           text("The OS image that was deployed."),
			"labels":          schema.MapAttribute{Computed: true, ElementType: textType, MarkdownDescription: "Its owner's notes."},
			"hostname":        text("Host name of the OS."),
			"address":         text("How it is reached."),
			"docker_port":     number("Where a Docker engine's TLS port is reached."),
			"ssh_user":        text("Who logs in."),
			"ssh_port":        number("Port of SSH."),
			"ssh_host_keys":   schema.ListAttribute{Computed: true, ElementType: textType, MarkdownDescription: "Its public host keys."},
			"ssh_host_key":    text("The one of these keys that Terraform's own SSH client asks for."),
			"ssh_known_hosts": text("The same keys as lines of a `known_hosts` file."),
			"managed":         schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether its keys can be changed while it runs: its pool kept a management key."},
			"created_at":      text("When its server was taken, RFC 3339."),
		},
	}
}

func (d *machineData) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m machineDataModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	there, err := d.find(ctx, m)
	if err != nil {
		at := path.Root("name")
		if m.Name.IsNull() {
			at = path.Root("id")
		}
		fault(&resp.Diagnostics, err, at)
		return
	}
	labels := there.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	m = machineDataModel{
		ID: textOf(string(there.ID)), Owner: textOf(there.Owner), Name: textOf(there.Name), State: textOf(string(there.State)), Reason: textOf(there.Reason),
		Pool: textOf(there.Pool), Node: textOf(string(there.Node)), Image: textOf(there.Image), Labels: labels, Hostname: textOf(there.Hostname),
		Address: textOf(there.Access.Address), DockerPort: numberOf(there.Access.DockerPort), SSHUser: textOf(there.Access.SSHUser), SSHPort: numberOf(there.Access.SSHPort),
		SSHHostKeys: texts(there.Access.HostKeys), Managed: types.BoolValue(there.Managed), CreatedAt: textOf(there.CreatedAt.UTC().Format(time.RFC3339)),
	}
	if len(there.Access.HostKeys) > 0 {
		m.SSHHostKey, m.SSHKnownHosts = textOf(hostKey(there.Access.HostKeys)), textOf(knownHosts(there.Access))
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

func (d *machineData) find(ctx context.Context, m machineDataModel) (core.Machine, error) {
	if !m.ID.IsNull() {
		return d.pool.Machine(ctx, core.AllocationID(m.ID.ValueString()))
	}
	owner := m.Owner.ValueString()
	if owner == "" {
		owner = d.pool.owner
	}
	return d.pool.MachineNamed(ctx, owner, m.Name.ValueString())
}
