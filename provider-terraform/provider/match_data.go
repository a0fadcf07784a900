package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// matchData is metalpool_match.
type matchData struct{ source }

func newMatchData() datasource.DataSource { return &matchData{} }

type matchModel struct {
	Pool         types.String     `tfsdk:"pool"`
	Arch         types.String     `tfsdk:"arch"`
	Requirements types.Object     `tfsdk:"requirements"`
	Fits         []string         `tfsdk:"fits"`
	Candidates   []candidateModel `tfsdk:"candidates"`
}

type candidateModel struct {
	Node   string       `tfsdk:"node"`
	State  string       `tfsdk:"state"`
	Fits   bool         `tfsdk:"fits"`
	Why    types.String `tfsdk:"why"`
	Passes bool         `tfsdk:"passes"`
}

func (d *matchData) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_match"
}

func (d *matchData) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Which servers of a pool could be taken now for what a machine would require, and of each other one why not. Nothing is taken.",
		Attributes: map[string]schema.Attribute{
			"pool": schema.StringAttribute{Optional: true, MarkdownDescription: "The pool; by default `default`."},
			"arch": schema.StringAttribute{Optional: true, Validators: []validator.String{arch}, MarkdownDescription: "Architecture: `amd64` or `arm64`; by default any."},
			"fits": schema.ListAttribute{Computed: true, ElementType: textType, MarkdownDescription: "The servers that fit and are free."},
			"candidates": schema.ListNestedAttribute{
				Computed: true, MarkdownDescription: "All servers of the pool, those that fit first.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"node":   schema.StringAttribute{Computed: true, MarkdownDescription: "The server."},
					"state":  schema.StringAttribute{Computed: true, MarkdownDescription: "Where it is in its life."},
					"fits":   schema.BoolAttribute{Computed: true, MarkdownDescription: "It could be taken now."},
					"why":    schema.StringAttribute{Computed: true, MarkdownDescription: "What it lacks, or who comes first. Null where it fits, and where nothing but its state stands in the way."},
					"passes": schema.BoolAttribute{Computed: true, MarkdownDescription: "What stands in the way may pass by itself: `wait` of a machine would wait for it."},
				}},
			},
		},
		Blocks: map[string]schema.Block{"requirements": requirementsData()},
	}
}

func (d *matchData) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m matchModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	r, diags := request(ctx, m.Requirements)
	resp.Diagnostics.Append(diags...)
	r.Pool = m.Pool.ValueString()
	r.Arch, _ = core.ParseArch(m.Arch.ValueString()) // the schema has refused what cannot be read
	candidates, err := d.pool.Match(ctx, core.Order{Owner: d.pool.owner, Request: r})
	if err != nil {
		orderFault(&resp.Diagnostics, err, nil)
		return
	}
	m.Fits, m.Candidates = []string{}, []candidateModel{}
	for _, c := range candidates {
		if c.Fits {
			m.Fits = append(m.Fits, string(c.Node))
		}
		m.Candidates = append(m.Candidates, candidateModel{Node: string(c.Node), State: string(c.State), Fits: c.Fits, Why: textOf(c.Why), Passes: c.Passes})
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}
