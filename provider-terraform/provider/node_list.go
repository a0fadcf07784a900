package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/list/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// nodeList lists what metalpool_node can import: racks that were enrolled by hand.
type nodeList struct{ nodeResource }

func newNodeList() list.ListResource { return &nodeList{} }

var _ list.ListResourceWithConfigure = &nodeList{}

type nodesListModel struct {
	Pool   types.String `tfsdk:"pool"`
	States types.List   `tfsdk:"states"`
	Labels types.Map    `tfsdk:"labels"`
}

func (*nodeList) ListResourceConfigSchema(_ context.Context, _ list.ListResourceSchemaRequest, resp *list.ListResourceSchemaResponse) {
	states := make([]string, len(core.NodeStates))
	for i, s := range core.NodeStates {
		states[i] = string(s)
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "Servers of the inventory that can be imported, for its operator. Nothing is asked of the servers themselves; the password of a BMC is not told.",
		Attributes: map[string]schema.Attribute{
			"pool":   schema.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: "Only those of this pool."},
			"states": schema.ListAttribute{Optional: true, ElementType: textType, Validators: []validator.List{listvalidator.ValueStringsAre(stringvalidator.OneOf(states...))}, MarkdownDescription: "Only those in one of these states, such as `Available`."},
			"labels": schema.MapAttribute{Optional: true, ElementType: textType, MarkdownDescription: "Only those that have all of these labels."},
		},
	}
}

// List implements list.ListResource.
func (l *nodeList) List(ctx context.Context, req list.ListRequest, stream *list.ListResultsStream) {
	nodes, diags := l.listed(ctx, req)
	stream.Results = results(ctx, req, nodes, diags, func(n core.Node, times timeouts.Value) (entry, diag.Diagnostics) {
		m, diags := broughtNode(ctx, n, times)
		return entry{name: string(n.ID), identity: nameIdentity{m.Name}, model: &m}, diags
	})
}

// listed are the nodes that a list asks for, by their names.
func (l *nodeList) listed(ctx context.Context, req list.ListRequest) (nodes []core.Node, diags diag.Diagnostics) {
	var m nodesListModel
	diags = req.Config.Get(ctx, &m)
	filter := core.NodeFilter{Pool: m.Pool.ValueString()}
	if !m.States.IsNull() {
		diags.Append(m.States.ElementsAs(ctx, &filter.States, false)...)
	}
	labels, d := labelsOf(ctx, m.Labels)
	diags.Append(d...)
	if diags.HasError() {
		return nil, diags
	}
	all, err := l.pool.Nodes(ctx, filter)
	if err != nil {
		fault(&diags, err, path.Empty())
	}
	for _, n := range all {
		if hasLabels(n.Spec.Labels, labels) {
			nodes = append(nodes, n)
		}
	}
	return nodes, diags
}
