//go:build linux

package main_test

import (
	"context"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/metalpool/metalpool/core"
)

// idIdentity is the type of a machine's identity.
var idIdentity = tftypes.Object{AttributeTypes: map[string]tftypes.Type{"id": tftypes.String}}

func identified(id string) tftypes.Value {
	return tftypes.NewValue(idIdentity, map[string]tftypes.Value{"id": tftypes.NewValue(tftypes.String, id)})
}

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
	server := r.speak(t)
	identity, err := tfprotov6.NewDynamicValue(idIdentity, identified(string(made.ID)))
	fine(t, err, nil)
	imported, err := server.ImportResourceState(ctx, &tfprotov6.ImportResourceStateRequest{TypeName: "metalpool_machine", Identity: &tfprotov6.ResourceIdentityData{IdentityData: &identity}})
	fine(t, err, imported.Diagnostics)
	if len(imported.ImportedResources) != 1 {
		t.Fatalf("%d machines were imported", len(imported.ImportedResources))
	}
	one := imported.ImportedResources[0]
	read, err := server.ReadResource(ctx, &tfprotov6.ReadResourceRequest{TypeName: "metalpool_machine", CurrentState: one.State, Private: one.Private, CurrentIdentity: one.Identity})
	fine(t, err, read.Diagnostics)
	got := texts(t, server.schemas.ResourceSchemas["metalpool_machine"], read.NewState)
	for name, want := range map[string]string{"id": "dm-1", "owner": "ann", "name": "db-1", "state": "Deployed", "power_state": "on", "image": "lab", "hostname": "db-1"} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	whole, err := read.NewIdentity.IdentityData.Unmarshal(idIdentity)
	if err != nil || !whole.Equal(identified("dm-1")) {
		t.Errorf("its identity is %v, %v", whole, err)
	}
}
