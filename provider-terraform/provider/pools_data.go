package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// poolsData is metalpool_pools.
type poolsData struct{ source }

func newPoolsData() datasource.DataSource { return &poolsData{} }

type poolsModel struct {
	Pools []poolModel `tfsdk:"pools"`
}

type poolModel struct {
	Name         string       `tfsdk:"name"`
	DefaultImage types.String `tfsdk:"default_image"`
	EraseMinimum string       `tfsdk:"erase_minimum"`
	Quota        types.Int64  `tfsdk:"quota"`
	Profile      types.String `tfsdk:"profile"`
	Profiles     types.Set    `tfsdk:"profiles"`
}

func (d *poolsData) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_pools"
}

func (d *poolsData) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "The pools, and what each decides for its machines.",
		Attributes: map[string]schema.Attribute{"pools": schema.ListNestedAttribute{
			Computed: true, MarkdownDescription: "The pools, by name.",
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"name":          schema.StringAttribute{Computed: true, MarkdownDescription: "Its name."},
				"default_image": schema.StringAttribute{Computed: true, MarkdownDescription: "What a machine gets that names no image."},
				"erase_minimum": schema.StringAttribute{Computed: true, MarkdownDescription: "How thoroughly disks are erased, at least: `clear` or `purge`."},
				"profile":       schema.StringAttribute{Computed: true, MarkdownDescription: "The profile of machines that name none; null is that nothing is done besides."},
				"profiles":      schema.SetAttribute{Computed: true, ElementType: textType, MarkdownDescription: "Other profiles that a machine may name."},
				"quota":         schema.Int64Attribute{Computed: true, MarkdownDescription: "How many machines an owner may have; null is any number."},
			}},
		}},
	}
}

func (d *poolsData) Read(ctx context.Context, _ datasource.ReadRequest, resp *datasource.ReadResponse) {
	pools, err := d.pool.Pools(ctx)
	if err != nil {
		fault(&resp.Diagnostics, err, path.Empty())
		return
	}
	m := poolsModel{Pools: []poolModel{}}
	for _, p := range pools {
		minimum := p.EraseMinimum
		if minimum == core.NotErased {
			minimum = core.Clear
		}
		m.Pools = append(m.Pools, poolModel{Name: p.Name, DefaultImage: textOf(p.DefaultImage), EraseMinimum: string(minimum), Quota: numberOf(p.Quota), Profile: textOf(p.Profile), Profiles: setOf(p.Profiles)})
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}
