package provider

import (
	"cmp"
	"context"
	"slices"
	"strings"

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

// To the pool, an allocation is a machine that nobody has deployed yet. Which of the two
// resources is to have it, the lists tell: each has what the other has not.

// machineList lists what metalpool_machine can import, whoever made it.
type machineList struct{ machineResource }

func newMachineList() list.ListResource { return &machineList{} }

// allocationList lists what metalpool_allocation can.
type allocationList struct{ allocationResource }

func newAllocationList() list.ListResource { return &allocationList{} }

var (
	_ list.ListResourceWithConfigure = &machineList{}
	_ list.ListResourceWithConfigure = &allocationList{}
)

type machinesModel struct {
	Owner  types.String `tfsdk:"owner"`
	Pool   types.String `tfsdk:"pool"`
	States types.List   `tfsdk:"states"`
	Labels types.Map    `tfsdk:"labels"`
}

// The states of what the lists have. One that still waits for a server has nothing that
// could be imported.
var (
	deployStates = []core.State{core.Deploying, core.Deployed, core.Failed}
	heldStates   = append([]core.State{core.Allocated}, deployStates...)
)

func listSchema(what string, in []core.State) schema.Schema {
	states := make([]string, len(in))
	for i, s := range in {
		states[i] = string(s)
	}
	return schema.Schema{
		MarkdownDescription: what + " The pool tells; nothing is asked of the servers themselves, so that `power_state` is left open.",
		Attributes: map[string]schema.Attribute{
			"owner":  schema.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: "Whose they are; by default the provider's `owner`."},
			"pool":   schema.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: "Only those of this pool."},
			"states": schema.ListAttribute{Optional: true, ElementType: textType, Validators: []validator.List{listvalidator.ValueStringsAre(stringvalidator.OneOf(states...))}, MarkdownDescription: "Only those in one of these states: `" + strings.Join(states, "`, `") + "`."},
			"labels": schema.MapAttribute{Optional: true, ElementType: textType, MarkdownDescription: "Only those that have all of these labels."},
		},
	}
}

func (*machineList) ListResourceConfigSchema(_ context.Context, _ list.ListResourceSchemaRequest, resp *list.ListResourceSchemaResponse) {
	resp.Schema = listSchema("Machines that can be imported, whoever made them: another configuration, docker-machine, or a person. Those that are in two resources, an allocation and a deployment, are in the list of `metalpool_allocation`.", deployStates)
}

func (*allocationList) ListResourceConfigSchema(_ context.Context, _ list.ListResourceSchemaRequest, resp *list.ListResourceSchemaResponse) {
	resp.Schema = listSchema("Allocations that can be imported: servers that were taken and not yet deployed, and those with a `metalpool_deployment` on them.", heldStates)
}

// List implements list.ListResource.
func (l *machineList) List(ctx context.Context, req list.ListRequest, stream *list.ListResultsStream) {
	machines, diags := l.pool.listed(ctx, req, func(m core.Machine) bool { return !apart(m) })
	stream.Results = results(ctx, req, machines, diags, func(there core.Machine, times timeouts.Value) (entry, diag.Diagnostics) {
		m, diags := broughtMachine(ctx, there, times)
		return machineEntry(there, &m), diags
	})
}

// List implements list.ListResource.
func (l *allocationList) List(ctx context.Context, req list.ListRequest, stream *list.ListResultsStream) {
	machines, diags := l.pool.listed(ctx, req, apart)
	stream.Results = results(ctx, req, machines, diags, func(there core.Machine, times timeouts.Value) (entry, diag.Diagnostics) {
		m, diags := broughtAllocation(ctx, there, times)
		return machineEntry(there, &m), diags
	})
}

func machineEntry(there core.Machine, model any) entry {
	return entry{name: there.Owner + "/" + there.Name, identity: machineIdentity{ID: types.StringValue(string(there.ID))}, model: model}
}

// apart reports whether a machine is in two resources, or is to be.
func apart(m core.Machine) bool {
	_, marked := m.Labels[markLabel]
	return marked || m.State == core.Allocated
}

// listed are the machines that a list asks for and that are meant, by their names.
func (p *pool) listed(ctx context.Context, req list.ListRequest, meant func(core.Machine) bool) ([]core.Machine, diag.Diagnostics) {
	var m machinesModel
	diags := req.Config.Get(ctx, &m)
	filter := core.AllocationFilter{Owner: cmp.Or(m.Owner.ValueString(), p.owner), Pool: m.Pool.ValueString(), States: heldStates}
	if !m.States.IsNull() {
		filter.States = nil
		diags.Append(m.States.ElementsAs(ctx, &filter.States, false)...)
	}
	labels, d := labelsOf(ctx, m.Labels)
	diags.Append(d...)
	if diags.HasError() {
		return nil, diags
	}
	machines, err := p.Machines(ctx, filter)
	if err != nil {
		fault(&diags, err, path.Empty())
	}
	machines = slices.DeleteFunc(machines, func(m core.Machine) bool { return !meant(m) || !hasLabels(m.Labels, labels) })
	slices.SortFunc(machines, func(a, b core.Machine) int { return cmp.Compare(a.Name, b.Name) })
	return machines, diags
}
