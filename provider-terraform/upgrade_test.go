//go:build linux

package main_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	framework "github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/metalpool/metalpool/provider-terraform/provider"
)

// ahead is this provider one version later: what limits a pool is called limit, and was
// called quota.
type ahead struct{ framework.Provider }

func (a ahead) Resources(ctx context.Context) []func() resource.Resource {
	var all []func() resource.Resource
	for _, made := range a.Provider.Resources(ctx) {
		var named resource.MetadataResponse
		made().Metadata(ctx, resource.MetadataRequest{ProviderTypeName: "metalpool"}, &named)
		if named.TypeName == "metalpool_pool" {
			made = func(now func() resource.Resource) func() resource.Resource {
				return func() resource.Resource { return renamed{now()} }
			}(made)
		}
		all = append(all, made)
	}
	return all
}

type renamed struct{ resource.Resource }

func (r renamed) Schema(ctx context.Context, req resource.SchemaRequest, resp *resource.SchemaResponse) {
	r.Resource.Schema(ctx, req, resp)
	resp.Schema.Version++
	resp.Schema.Attributes["limit"] = resp.Schema.Attributes["quota"]
	delete(resp.Schema.Attributes, "quota")
}

// UpgradeState is what such a change has to come with.
func (r renamed) UpgradeState(ctx context.Context) map[int64]resource.StateUpgrader {
	var before, after resource.SchemaResponse
	r.Resource.Schema(ctx, resource.SchemaRequest{}, &before)
	r.Schema(ctx, resource.SchemaRequest{}, &after)
	return map[int64]resource.StateUpgrader{before.Schema.Version: {PriorSchema: &before.Schema, StateUpgrader: func(ctx context.Context, req resource.UpgradeStateRequest, resp *resource.UpgradeStateResponse) {
		resp.State = upgraded(ctx, *req.State, after.Schema)
	}}}
}

func upgraded(ctx context.Context, old tfsdk.State, s schema.Schema) tfsdk.State {
	values := map[string]tftypes.Value{}
	_ = old.Raw.As(&values) // of the framework's making: an object of the schema before
	values["limit"] = values["quota"]
	delete(values, "quota")
	return tfsdk.State{Schema: s, Raw: tftypes.NewValue(s.Type().TerraformType(ctx), values)}
}

// TestUpgrades reads what is kept with a provider one version later, and with this one what
// only a later one could have written, or an earlier one of the same version.
func TestUpgrades(t *testing.T) {
	t.Parallel()
	kept := readState(t, filepath.Join(keptStates, "v0", "terraform.tfstate")).instances()["metalpool_pool.kept"].Attributes
	older := map[string]any{"name": "kept", "quota": 9, "dropped": true}
	for _, c := range []struct {
		name     string
		provider framework.Provider
		state    map[string]any
		version  int64
		reads    string // the attribute that is to be 9
		says     string
	}{
		{"a version that has an upgrade", ahead{provider.New("test")()}, kept, 0, "limit", ""},
		{"a version that has none", ahead{provider.New("test")()}, kept, 7, "", "version 7"},
		{"a version to come", provider.New("test")(), kept, 1, "", "version 1"},
		{"the same version", provider.New("test")(), kept, 0, "quota", ""},
		{"the same version with less, and more, than there is now", provider.New("test")(), older, 0, "quota", ""},
	} {
		server, err := providerserver.NewProtocol6WithError(c.provider)()
		fine(t, err, nil)
		known, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
		fine(t, err, known.Diagnostics)
		text, err := json.Marshal(c.state)
		fine(t, err, nil)
		read, err := server.UpgradeResourceState(t.Context(), &tfprotov6.UpgradeResourceStateRequest{TypeName: "metalpool_pool", Version: c.version, RawState: &tfprotov6.RawState{JSON: text}})
		fine(t, err, nil)
		if c.says != "" {
			against(t, c.name, read.Diagnostics, []string{c.says})
			continue
		}
		fine(t, nil, read.Diagnostics)
		value, err := read.UpgradedState.Unmarshal(known.ResourceSchemas["metalpool_pool"].ValueType())
		fine(t, err, nil)
		attributes := map[string]tftypes.Value{}
		fine(t, value.As(&attributes), nil)
		if !attributes[c.reads].Equal(tftypes.NewValue(tftypes.Number, 9)) || !attributes["name"].Equal(tftypes.NewValue(tftypes.String, "kept")) {
			t.Errorf("%s: it is read as %s", c.name, value)
		}
	}
}
