package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/metalpool/metalpool/core"
)

// requirementsModel is the requirements block.
type requirementsModel struct {
	CPUs   types.Int64  `tfsdk:"cpus"`
	Memory types.String `tfsdk:"memory"`
	Disks  []diskModel  `tfsdk:"disk"`
	NICs   []nicModel   `tfsdk:"nic"`
	Labels []labelModel `tfsdk:"label"`
	GPUs   *gpusModel   `tfsdk:"gpus"`
	Place  *placeModel  `tfsdk:"place"`
}

type diskModel struct {
	Count types.Int64  `tfsdk:"count"`
	Size  types.String `tfsdk:"size"`
	Kind  types.String `tfsdk:"kind"`
}

type nicModel struct {
	Count types.Int64  `tfsdk:"count"`
	Speed types.String `tfsdk:"speed"`
}

type labelModel struct {
	Key    types.String `tfsdk:"key"`
	Op     types.String `tfsdk:"op"`
	Values types.List   `tfsdk:"values"`
}

type gpusModel struct {
	Count types.Int64  `tfsdk:"count"`
	Model types.String `tfsdk:"model"`
}

type placeModel struct {
	Mode  types.String `tfsdk:"mode"`
	Label types.String `tfsdk:"label"`
	Group types.String `tfsdk:"group"`
}

// requirementTypes are the types in a requirements block.
var (
	diskType         = types.ObjectType{AttrTypes: map[string]attr.Type{"count": types.Int64Type, "size": types.StringType, "kind": types.StringType}}
	nicType          = types.ObjectType{AttrTypes: map[string]attr.Type{"count": types.Int64Type, "speed": types.StringType}}
	labelType        = types.ObjectType{AttrTypes: map[string]attr.Type{"key": types.StringType, "op": types.StringType, "values": types.ListType{ElemType: types.StringType}}}
	gpusType         = types.ObjectType{AttrTypes: map[string]attr.Type{"count": types.Int64Type, "model": types.StringType}}
	placeType        = types.ObjectType{AttrTypes: map[string]attr.Type{"mode": types.StringType, "label": types.StringType, "group": types.StringType}}
	requirementTypes = map[string]attr.Type{
		"cpus": types.Int64Type, "memory": types.StringType,
		"disk": types.ListType{ElemType: diskType}, "nic": types.ListType{ElemType: nicType}, "label": types.ListType{ElemType: labelType},
		"gpus": gpusType, "place": placeType,
	}
)

// known reports whether nothing in a value waits for the apply.
func known(ctx context.Context, v attr.Value) bool {
	raw, err := v.ToTerraformValue(ctx)
	return err == nil && raw.IsFullyKnown()
}

// request reads a requirements block, all of which must be known.
func request(ctx context.Context, block types.Object) (core.Request, diag.Diagnostics) {
	var (
		r core.Request
		m requirementsModel
	)
	if block.IsNull() {
		return r, nil
	}
	diags := block.As(ctx, &m, basetypes.ObjectAsOptions{})
	// The schema has refused what cannot be read.
	bytes := func(v types.String) core.Bytes {
		b, _ := core.ParseBytes(v.ValueString())
		return b
	}
	r.CPUs, r.Memory = int(m.CPUs.ValueInt64()), bytes(m.Memory)
	for _, d := range m.Disks {
		r.Disks = append(r.Disks, core.DiskNeed{Count: countOf(d.Count), Size: bytes(d.Size), Kind: core.DiskKind(d.Kind.ValueString())})
	}
	for _, n := range m.NICs {
		need := core.NICNeed{Count: countOf(n.Count)}
		if !n.Speed.IsNull() {
			need.Mbps, _ = readSpeed(n.Speed.ValueString())
		}
		r.NICs = append(r.NICs, need)
	}
	for _, l := range m.Labels {
		s := core.Selector{Label: l.Key.ValueString(), Op: core.SelectorOp(l.Op.ValueString())}
		if s.Op == "" {
			s.Op = core.OpEqual
		}
		diags.Append(l.Values.ElementsAs(ctx, &s.Values, false)...)
		r.Labels = append(r.Labels, s)
	}
	if m.GPUs != nil {
		r.GPUs, r.GPUModel = countOf(m.GPUs.Count), m.GPUs.Model.ValueString()
	}
	if m.Place != nil {
		r.Place = core.Placement{Mode: core.PlaceMode(m.Place.Mode.ValueString()), Key: m.Place.Label.ValueString(), Group: m.Place.Group.ValueString()}
	}
	return r, diags
}

// countOf is 1 where no count is given.
func countOf(n types.Int64) int {
	if n.IsNull() {
		return 1
	}
	return int(n.ValueInt64())
}

// requirements writes the block that asks for what a request does; none where it asks
// for nothing that belongs in there.
func requirements(ctx context.Context, r core.Request) (types.Object, diag.Diagnostics) {
	bare := r.CPUs == 0 && r.Memory == 0 && len(r.Disks)+len(r.NICs)+len(r.Labels) == 0 && r.GPUs == 0 && r.GPUModel == "" && r.Place.Mode == ""
	if bare {
		return types.ObjectNull(requirementTypes), nil
	}
	// A block that is not there is an empty list to Terraform, never null.
	m := requirementsModel{CPUs: numberOf(r.CPUs), Disks: []diskModel{}, NICs: []nicModel{}, Labels: []labelModel{}}
	if r.Memory > 0 {
		m.Memory = types.StringValue(r.Memory.Exactly())
	}
	for _, d := range r.Disks {
		disk := diskModel{Count: types.Int64Value(int64(d.Count)), Kind: textOf(string(d.Kind))}
		if d.Size > 0 {
			disk.Size = types.StringValue(d.Size.Exactly())
		}
		m.Disks = append(m.Disks, disk)
	}
	for _, n := range r.NICs {
		nic := nicModel{Count: types.Int64Value(int64(n.Count))}
		if n.Mbps > 0 {
			nic.Speed = types.StringValue(core.Speed(n.Mbps))
		}
		m.NICs = append(m.NICs, nic)
	}
	for _, s := range r.Labels {
		values := types.ListNull(types.StringType)
		if len(s.Values) > 0 {
			values = texts(s.Values)
		}
		m.Labels = append(m.Labels, labelModel{Key: types.StringValue(s.Label), Op: types.StringValue(string(s.Op)), Values: values})
	}
	if r.GPUs > 0 || r.GPUModel != "" {
		m.GPUs = &gpusModel{Count: types.Int64Value(int64(max(r.GPUs, 1))), Model: textOf(r.GPUModel)}
	}
	if r.Place.Mode != "" {
		m.Place = &placeModel{Mode: types.StringValue(string(r.Place.Mode)), Label: textOf(r.Place.Key), Group: textOf(r.Place.Group)}
	}
	return types.ObjectValueFrom(ctx, requirementTypes, m)
}

// textOf and numberOf are null where there is nothing.
func textOf(s string) types.String {
	if s == "" {
		return types.StringNull()
	}
	return types.StringValue(s)
}

func numberOf(n int) types.Int64 {
	if n == 0 {
		return types.Int64Null()
	}
	return types.Int64Value(int64(n))
}

// setOf is a set of texts.
func setOf(list []string) types.Set {
	var values []attr.Value
	for _, s := range list {
		values = append(values, types.StringValue(s))
	}
	return types.SetValueMust(types.StringType, values)
}

func texts[T ~string](list []T) types.List {
	values := make([]attr.Value, len(list))
	for i, s := range list {
		values[i] = types.StringValue(string(s))
	}
	return types.ListValueMust(types.StringType, values)
}
