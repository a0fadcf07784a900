// Command terraform-provider-metalpool is here a provider that does nothing: it has the
// real one's schema, answers from the plan, and knows no pool. It is what terraform
// itself, and talking to any provider, cost.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	framework "github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/metalpool/metalpool/provider-terraform/provider"
)

// bare is the provider with a machine that does nothing. Its other resources are there
// for their schemas.
type bare struct{ framework.Provider }

func (bare) Configure(context.Context, framework.ConfigureRequest, *framework.ConfigureResponse) {}

func (b bare) Resources(ctx context.Context) []func() resource.Resource {
	var all []func() resource.Resource
	for _, real := range b.Provider.Resources(ctx) {
		var is resource.MetadataResponse
		real().Metadata(ctx, resource.MetadataRequest{ProviderTypeName: "metalpool"}, &is)
		if is.TypeName == "metalpool_machine" {
			all = append(all, func() resource.Resource { return machine{real().(shaped)} })
		} else {
			all = append(all, real)
		}
	}
	return all
}

// shaped is what the real resource is to this one: a schema.
type shaped interface {
	resource.Resource
	resource.ResourceWithIdentity
}

type machine struct{ like shaped }

func (m machine) Metadata(ctx context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	m.like.Metadata(ctx, req, resp)
}

func (m machine) Schema(ctx context.Context, req resource.SchemaRequest, resp *resource.SchemaResponse) {
	m.like.Schema(ctx, req, resp)
}

func (m machine) IdentitySchema(ctx context.Context, req resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	m.like.IdentitySchema(ctx, req, resp)
}

// A key and an address are as long as real ones, so that the states are alike.
var (
	shortText = "n0000.lab.example"
	longText  = "ecdsa-sha2-nistp256 " + strings.Repeat("A", 140)
)

var named = struct {
	ID types.String `tfsdk:"id"`
}{types.StringValue(shortText)}

func (m machine) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	answer, err := tftypes.Transform(req.Plan.Raw, func(path *tftypes.AttributePath, v tftypes.Value) (tftypes.Value, error) {
		if v.IsKnown() {
			return v, nil
		}
		text := shortText
		if strings.Contains(path.String(), "ssh_host_key") || strings.Contains(path.String(), "ssh_known_hosts") {
			text = longText
		}
		switch t := v.Type(); {
		case t.Is(tftypes.String):
			return tftypes.NewValue(t, text), nil
		case t.Is(tftypes.Number):
			return tftypes.NewValue(t, 2222), nil
		case t.Is(tftypes.Bool):
			return tftypes.NewValue(t, false), nil
		case t.Is(tftypes.List{}):
			item := tftypes.NewValue(tftypes.String, text)
			return tftypes.NewValue(t, []tftypes.Value{item, item}), nil
		default:
			return tftypes.NewValue(t, nil), nil
		}
	})
	if err != nil {
		resp.Diagnostics.AddError("The plan cannot be answered", err.Error())
		return
	}
	resp.State.Raw = answer
	resp.Diagnostics.Append(resp.Identity.Set(ctx, named)...)
}

func (m machine) Read(ctx context.Context, _ resource.ReadRequest, resp *resource.ReadResponse) {
	resp.Diagnostics.Append(resp.Identity.Set(ctx, named)...)
}

func (m machine) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	resp.State.Raw = req.Plan.Raw
	resp.Diagnostics.Append(resp.Identity.Set(ctx, named)...)
}

func (m machine) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

func main() {
	serve := func() framework.Provider { return bare{provider.New("bare")()} }
	if err := providerserver.Serve(context.Background(), serve, providerserver.ServeOpts{Address: provider.Address}); err != nil {
		fmt.Fprintln(os.Stderr, "terraform-provider-bare:", err)
		os.Exit(1)
	}
}
