//go:build linux

package main_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/metalpool/metalpool/core"
)

// identified is an identity of one attribute.
func identified(t *testing.T, name, value string) *tfprotov6.ResourceIdentityData {
	t.Helper()
	kind := tftypes.Object{AttributeTypes: map[string]tftypes.Type{name: tftypes.String}}
	v, err := tfprotov6.NewDynamicValue(kind, tftypes.NewValue(kind, map[string]tftypes.Value{name: tftypes.NewValue(tftypes.String, value)}))
	fine(t, err, nil)
	return &tfprotov6.ResourceIdentityData{IdentityData: &v}
}

// identifies compares an identity.
func identifies(t *testing.T, identity *tfprotov6.ResourceIdentityData, name, value string) bool {
	t.Helper()
	return bytes.Equal(identity.IdentityData.MsgPack, identified(t, name, value).IdentityData.MsgPack)
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
	imported, err := server.ImportResourceState(ctx, &tfprotov6.ImportResourceStateRequest{TypeName: "metalpool_machine", Identity: identified(t, "id", string(made.ID))})
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
	if !identifies(t, read.NewIdentity, "id", "dm-1") {
		t.Errorf("its identity is %q", read.NewIdentity.IdentityData.MsgPack)
	}
}
