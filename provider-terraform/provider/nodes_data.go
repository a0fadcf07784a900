package provider

import (
	"context"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// source is what all data sources have.
type source struct{ pool *pool }

func (s *source) Configure(_ context.Context, req datasource.ConfigureRequest, _ *datasource.ConfigureResponse) {
	s.pool, _ = req.ProviderData.(*pool)
}

// nodesData is metalpool_nodes.
type nodesData struct{ source }

func newNodesData() datasource.DataSource { return &nodesData{} }

type nodesModel struct {
	Pool   types.String      `tfsdk:"pool"`
	States types.List        `tfsdk:"states"`
	Labels map[string]string `tfsdk:"labels"`
	Nodes  []nodeModel       `tfsdk:"nodes"`
}

type nodeModel struct {
	ID           string            `tfsdk:"id"`
	Pool         string            `tfsdk:"pool"`
	State        string            `tfsdk:"state"`
	Reason       types.String      `tfsdk:"reason"`
	Machine      types.String      `tfsdk:"machine_id"`
	Labels       map[string]string `tfsdk:"labels"`
	Manufacturer types.String      `tfsdk:"manufacturer"`
	Model        types.String      `tfsdk:"model"`
	Arch         types.String      `tfsdk:"arch"`
	CPUs         types.Int64       `tfsdk:"cpus"`
	Memory       types.Int64       `tfsdk:"memory_bytes"`
	Disks        []nodeDiskModel   `tfsdk:"disks"`
	NICs         []nodeNICModel    `tfsdk:"nics"`
	GPUs         []string          `tfsdk:"gpus"`
}

type nodeDiskModel struct {
	Serial types.String `tfsdk:"serial"`
	WWN    types.String `tfsdk:"wwn"`
	Kind   types.String `tfsdk:"kind"`
	Size   types.Int64  `tfsdk:"size_bytes"`
}

type nodeNICModel struct {
	MAC   string      `tfsdk:"mac"`
	Speed types.Int64 `tfsdk:"speed_mbps"`
}

func (d *nodesData) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_nodes"
}

func (d *nodesData) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	text := func(doc string) schema.StringAttribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: doc}
	}
	number := func(doc string) schema.Int64Attribute {
		return schema.Int64Attribute{Computed: true, MarkdownDescription: doc}
	}
	states := make([]string, len(core.NodeStates))
	for i, s := range core.NodeStates {
		states[i] = string(s)
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "The servers of a pool: where each is in its life, and what it is made of. Nothing is asked of the servers themselves.",
		Attributes: map[string]schema.Attribute{
			"pool":   schema.StringAttribute{Optional: true, MarkdownDescription: "Only those of this pool."},
			"states": schema.ListAttribute{Optional: true, ElementType: textType, Validators: []validator.List{listvalidator.ValueStringsAre(stringvalidator.OneOf(states...))}, MarkdownDescription: "Only those in one of these states, such as `Available`."},
			"labels": schema.MapAttribute{Optional: true, ElementType: textType, MarkdownDescription: "Only those that the operator gave all of these labels."},
			"nodes": schema.ListNestedAttribute{
				Computed: true, MarkdownDescription: "The servers, by their IDs.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"id":           text("The name that its operator gave it."),
					"pool":         text("The pool that it belongs to."),
					"state":        text("Where it is in its life: `Available` can be taken."),
					"reason":       text("Why it is there, for people."),
					"machine_id":   text("The machine that has it."),
					"labels":       schema.MapAttribute{Computed: true, ElementType: textType, MarkdownDescription: "The labels that its operator gave it."},
					"manufacturer": text("Who made it."),
					"model":        text("Which one it is."),
					"arch":         text("`amd64` or `arm64`."),
					"cpus":         number("Logical CPUs."),
					"memory_bytes": number("Memory in bytes."),
					"disks": schema.ListNestedAttribute{
						Computed: true, MarkdownDescription: "Its disks, without those that are removable.",
						NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
							"serial": text("Serial number."), "wwn": text("World wide name."),
							"kind": text("`hdd`, `ssd` or `nvme`."), "size_bytes": number("Size in bytes."),
						}},
					},
					"nics": schema.ListNestedAttribute{
						Computed: true, MarkdownDescription: "Its network ports.",
						NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
							"mac": text("Hardware address."), "speed_mbps": number("Speed in Mbit/s."),
						}},
					},
					"gpus": schema.ListAttribute{Computed: true, ElementType: textType, MarkdownDescription: "Models of its GPUs."},
				}},
			},
		},
	}
}

func (d *nodesData) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m nodesModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	filter := core.NodeFilter{Pool: m.Pool.ValueString()}
	if !m.States.IsNull() {
		resp.Diagnostics.Append(m.States.ElementsAs(ctx, &filter.States, false)...)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	nodes, err := d.pool.Nodes(ctx, filter)
	if err == nil && len(nodes) == 0 && filter.Pool != "" {
		// An empty list would be taken for a pool of which nothing is left. Who may not ask
		// for a match keeps the list.
		if _, missing := d.pool.Match(ctx, core.Order{Owner: d.pool.owner, Request: core.Request{Pool: filter.Pool}}); core.Is(missing, core.NotFound) {
			err = missing
		}
	}
	if err != nil {
		fault(&resp.Diagnostics, err, attributeOf(err))
		return
	}
	var ask core.Request
	for key, value := range m.Labels {
		ask.Labels = append(ask.Labels, core.Selector{Label: key, Op: core.OpEqual, Values: []string{value}})
	}
	m.Nodes = []nodeModel{}
	for _, n := range nodes {
		if core.Mismatch(n, ask) == "" {
			m.Nodes = append(m.Nodes, nodeOfPool(n))
		}
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

func nodeOfPool(n core.Node) nodeModel {
	h := n.Hardware
	m := nodeModel{
		ID: string(n.ID), Pool: n.Pool, State: string(n.State), Reason: textOf(n.Reason), Machine: textOf(string(n.Allocation)), Labels: n.Spec.Labels,
		Manufacturer: textOf(h.Manufacturer), Model: textOf(h.Model), Arch: textOf(h.Arch), CPUs: numberOf(h.CPUs), Memory: numberOf(int(h.Memory)),
		Disks: []nodeDiskModel{}, NICs: []nodeNICModel{}, GPUs: []string{},
	}
	if m.Labels == nil {
		m.Labels = map[string]string{}
	}
	for _, disk := range slices.DeleteFunc(slices.Clone(h.Disks), func(d core.Disk) bool { return d.Removable }) {
		m.Disks = append(m.Disks, nodeDiskModel{Serial: textOf(disk.Serial), WWN: textOf(disk.WWN), Kind: textOf(string(disk.Kind)), Size: numberOf(int(disk.Size))})
	}
	for _, nic := range h.NICs {
		m.NICs = append(m.NICs, nodeNICModel{MAC: nic.MAC, Speed: numberOf(nic.Mbps)})
	}
	for _, gpu := range h.GPUs {
		m.GPUs = append(m.GPUs, gpu.Model)
	}
	return m
}
