//go:build linux

package main_test

import (
	"context"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/metalpool/metalpool/core"
)

// TestImportByIdentity speaks the protocol itself: terraform can do this since 1.12.
// The machine was made without Terraform.
func TestImportByIdentity(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	made, err := r.engine(t).Create(ctx, core.Order{ID: "dm-1", Owner: "ann", Name: "db-1", Keys: []string{key}, Request: core.Request{CPUs: 1}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	server, err := inProcess()["metalpool"]()
	if err != nil {
		t.Fatal(err)
	}
	fine := func(err error, diags []*tfprotov6.Diagnostic) {
		t.Helper()
		for _, d := range diags {
			t.Errorf("%s: %s", d.Summary, d.Detail)
		}
		if err != nil || len(diags) > 0 {
			t.FailNow()
		}
	}
	object := func(kind tftypes.Type, values map[string]tftypes.Value) *tfprotov6.DynamicValue {
		t.Helper()
		v, err := tfprotov6.NewDynamicValue(kind, tftypes.NewValue(kind, values))
		fine(err, nil)
		return &v
	}
	schemas, err := server.GetProviderSchema(ctx, &tfprotov6.GetProviderSchemaRequest{})
	fine(err, schemas.Diagnostics)
	configured, err := server.ConfigureProvider(ctx, &tfprotov6.ConfigureProviderRequest{Config: object(schemas.Provider.ValueType(), map[string]tftypes.Value{
		"url": tftypes.NewValue(tftypes.String, r.url), "owner": tftypes.NewValue(tftypes.String, owner), "token": tftypes.NewValue(tftypes.String, nil),
	})})
	fine(err, configured.Diagnostics)

	identity := tftypes.Object{AttributeTypes: map[string]tftypes.Type{"id": tftypes.String}}
	imported, err := server.ImportResourceState(ctx, &tfprotov6.ImportResourceStateRequest{
		TypeName: "metalpool_machine",
		Identity: &tfprotov6.ResourceIdentityData{IdentityData: object(identity, map[string]tftypes.Value{"id": tftypes.NewValue(tftypes.String, string(made.ID))})},
	})
	fine(err, imported.Diagnostics)
	if len(imported.ImportedResources) != 1 {
		t.Fatalf("%d machines were imported", len(imported.ImportedResources))
	}
	one := imported.ImportedResources[0]
	read, err := server.ReadResource(ctx, &tfprotov6.ReadResourceRequest{TypeName: "metalpool_machine", CurrentState: one.State, Private: one.Private, CurrentIdentity: one.Identity})
	fine(err, read.Diagnostics)
	kind := schemas.ResourceSchemas["metalpool_machine"].ValueType()
	value, err := read.NewState.Unmarshal(kind)
	fine(err, nil)
	attributes := map[string]tftypes.Value{}
	fine(value.As(&attributes), nil)
	for name, want := range map[string]string{"id": "dm-1", "owner": "ann", "name": "db-1", "state": "Deployed", "power_state": "on", "image": "lab", "hostname": "db-1"} {
		var got string
		if err := attributes[name].As(&got); err != nil || got != want {
			t.Errorf("%s is %q, want %q: %v", name, got, want, err)
		}
	}
	whole, err := read.NewIdentity.IdentityData.Unmarshal(identity)
	if err != nil || !whole.Equal(tftypes.NewValue(identity, map[string]tftypes.Value{"id": tftypes.NewValue(tftypes.String, "dm-1")})) {
		t.Errorf("its identity is %v, %v", whole, err)
	}
}
