package provider

import (
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/objectvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	data "github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64default"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/metalpool/metalpool/core"
)

// What the requirements mean, for the resource and for the data source alike.
const (
	docCPUs       = "Logical CPUs, at least."
	docMemory     = "Memory, at least, such as `64GiB`."
	docDisk       = "Disks that the server must have; one disk serves one such block only."
	docDiskCount  = "How many, at least; by default 1."
	docDiskSize   = "Size of each, at least, such as `480GB`."
	docDiskKind   = "`hdd`, `ssd` or `nvme`; an NVMe disk is an SSD, too. By default any."
	docNIC        = "Network ports that the server must have; one port serves one such block only."
	docNICCount   = "How many, at least; by default 1."
	docNICSpeed   = "Speed of each, at least, such as `25G`."
	docLabel      = "A condition on the labels that the server's operator gave it. All of them must hold."
	docLabelKey   = "The label, such as `rack`."
	docLabelOp    = "`=`, `!=`, `in`, `notin` or `exists`; by default `=`. A missing label satisfies `!=` and `notin`."
	docLabelList  = "What to compare with: one value for `=` and `!=`, some for `in` and `notin`, none for `exists`."
	docGPUs       = "GPUs that the server must have."
	docGPUCount   = "How many, at least."
	docGPUModel   = "A part of the model's name, such as `A100`; by default any."
	docPlace      = "Where the server stands to those of your other machines. It counts when a server is taken, and never moves one."
	docPlaceMode  = "`spread`: where the fewest of the group are. `together`: only where the group is."
	docPlaceLabel = "The label that names a place, such as `rack`."
	docPlaceGroup = "A name of your choice for the machines that belong together; by default all of the owner's in the pool."
)

const maxCount = 999 // no server has more of anything

var (
	countRange = []validator.Int64{int64validator.Between(1, maxCount)}
	diskKinds  = []validator.String{stringvalidator.OneOf(string(core.HDD), string(core.SSD), string(core.NVMe))}
	labelOps   = []validator.String{stringvalidator.OneOf(string(core.OpEqual), string(core.OpNotEqual), string(core.OpIn), string(core.OpNotIn), string(core.OpExists))}
	placeModes = []validator.String{stringvalidator.OneOf(string(core.Spread), string(core.Together))}
	notEmpty   = []validator.String{stringvalidator.LengthAtLeast(1)}
	valueList  = []validator.List{listvalidator.SizeAtLeast(1)}
	sizes      = []validator.String{size}
	speeds     = []validator.String{speed}
	// What a block cannot do without is checked where the block is there at all.
	wholeGPUs  = []validator.Object{objectvalidator.AlsoRequires(path.MatchRelative().AtName("count"))}
	wholePlace = []validator.Object{objectvalidator.AlsoRequires(path.MatchRelative().AtName("mode"), path.MatchRelative().AtName("label"))}
)

func requirementsBlock() schema.Block {
	count := func(doc string) schema.Int64Attribute {
		return schema.Int64Attribute{Optional: true, Computed: true, Default: int64default.StaticInt64(1), Validators: countRange, MarkdownDescription: doc}
	}
	return schema.SingleNestedBlock{
		MarkdownDescription: "What the server must have; any server of the pool without it. **Changing it:** in place, where the server has that, too; else replacement. The plan says which.",
		Attributes: map[string]schema.Attribute{
			"cpus":   schema.Int64Attribute{Optional: true, Validators: []validator.Int64{int64validator.AtLeast(1)}, MarkdownDescription: docCPUs},
			"memory": schema.StringAttribute{Optional: true, Validators: sizes, PlanModifiers: []planmodifier.String{size}, MarkdownDescription: docMemory},
		},
		Blocks: map[string]schema.Block{
			"disk": schema.ListNestedBlock{
				MarkdownDescription: docDisk,
				NestedObject: schema.NestedBlockObject{Attributes: map[string]schema.Attribute{
					"count": count(docDiskCount),
					"size":  schema.StringAttribute{Optional: true, Validators: sizes, PlanModifiers: []planmodifier.String{size}, MarkdownDescription: docDiskSize},
					"kind":  schema.StringAttribute{Optional: true, Validators: diskKinds, MarkdownDescription: docDiskKind},
				}},
			},
			"nic": schema.ListNestedBlock{
				MarkdownDescription: docNIC,
				NestedObject: schema.NestedBlockObject{Attributes: map[string]schema.Attribute{
					"count": count(docNICCount),
					"speed": schema.StringAttribute{Optional: true, Validators: speeds, PlanModifiers: []planmodifier.String{speed}, MarkdownDescription: docNICSpeed},
				}},
			},
			"label": schema.ListNestedBlock{
				MarkdownDescription: docLabel,
				NestedObject: schema.NestedBlockObject{Attributes: map[string]schema.Attribute{
					"key":    schema.StringAttribute{Required: true, Validators: notEmpty, MarkdownDescription: docLabelKey},
					"op":     schema.StringAttribute{Optional: true, Computed: true, Default: stringdefault.StaticString(string(core.OpEqual)), Validators: labelOps, MarkdownDescription: docLabelOp},
					"values": schema.ListAttribute{Optional: true, ElementType: textType, Validators: valueList, MarkdownDescription: docLabelList},
				}},
			},
			"gpus": schema.SingleNestedBlock{
				MarkdownDescription: docGPUs, Validators: wholeGPUs,
				Attributes: map[string]schema.Attribute{
					"count": schema.Int64Attribute{Optional: true, Validators: countRange, MarkdownDescription: docGPUCount},
					"model": schema.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: docGPUModel},
				},
			},
			"place": schema.SingleNestedBlock{
				MarkdownDescription: docPlace, Validators: wholePlace,
				Attributes: map[string]schema.Attribute{
					"mode":  schema.StringAttribute{Optional: true, Validators: placeModes, MarkdownDescription: docPlaceMode},
					"label": schema.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: docPlaceLabel},
					"group": schema.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: docPlaceGroup},
				},
			},
		},
	}
}

// requirementsData is the same block in a data source.
func requirementsData() data.Block {
	return data.SingleNestedBlock{
		MarkdownDescription: "What a server must have, as in `metalpool_machine`.",
		Attributes: map[string]data.Attribute{
			"cpus":   data.Int64Attribute{Optional: true, Validators: []validator.Int64{int64validator.AtLeast(1)}, MarkdownDescription: docCPUs},
			"memory": data.StringAttribute{Optional: true, Validators: sizes, MarkdownDescription: docMemory},
		},
		Blocks: map[string]data.Block{
			"disk": data.ListNestedBlock{
				MarkdownDescription: docDisk,
				NestedObject: data.NestedBlockObject{Attributes: map[string]data.Attribute{
					"count": data.Int64Attribute{Optional: true, Validators: countRange, MarkdownDescription: docDiskCount},
					"size":  data.StringAttribute{Optional: true, Validators: sizes, MarkdownDescription: docDiskSize},
					"kind":  data.StringAttribute{Optional: true, Validators: diskKinds, MarkdownDescription: docDiskKind},
				}},
			},
			"nic": data.ListNestedBlock{
				MarkdownDescription: docNIC,
				NestedObject: data.NestedBlockObject{Attributes: map[string]data.Attribute{
					"count": data.Int64Attribute{Optional: true, Validators: countRange, MarkdownDescription: docNICCount},
					"speed": data.StringAttribute{Optional: true, Validators: speeds, MarkdownDescription: docNICSpeed},
				}},
			},
			"label": data.ListNestedBlock{
				MarkdownDescription: docLabel,
				NestedObject: data.NestedBlockObject{Attributes: map[string]data.Attribute{
					"key":    data.StringAttribute{Required: true, Validators: notEmpty, MarkdownDescription: docLabelKey},
					"op":     data.StringAttribute{Optional: true, Validators: labelOps, MarkdownDescription: docLabelOp},
					"values": data.ListAttribute{Optional: true, ElementType: textType, Validators: valueList, MarkdownDescription: docLabelList},
				}},
			},
			"gpus": data.SingleNestedBlock{
				MarkdownDescription: docGPUs, Validators: wholeGPUs,
				Attributes: map[string]data.Attribute{
					"count": data.Int64Attribute{Optional: true, Validators: countRange, MarkdownDescription: docGPUCount},
					"model": data.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: docGPUModel},
				},
			},
			"place": data.SingleNestedBlock{
				MarkdownDescription: docPlace, Validators: wholePlace,
				Attributes: map[string]data.Attribute{
					"mode":  data.StringAttribute{Optional: true, Validators: placeModes, MarkdownDescription: docPlaceMode},
					"label": data.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: docPlaceLabel},
					"group": data.StringAttribute{Optional: true, Validators: notEmpty, MarkdownDescription: docPlaceGroup},
				},
			},
		},
	}
}
