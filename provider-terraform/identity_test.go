//go:build linux

package main_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/labtest"
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

// TestImportByIdentity speaks the protocol itself: terraform can do this since 1.12, where
// the acceptance tests have it do so. What is imported was made without Terraform.
func TestImportByIdentity(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	ctx, cancel := context.WithTimeout(t.Context(), labtest.Patience)
	defer cancel()
	made, err := r.Engine(t).Create(ctx, core.Order{ID: "dm-1", Owner: "ann", Name: "db-1", Keys: []string{key}, Request: core.Request{CPUs: 1}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := r.speak(t)
	for _, c := range []struct {
		kind, name, value string
		want              map[string]string
	}{
		{"metalpool_machine", "id", "dm-1", map[string]string{"id": "dm-1", "owner": "ann", "name": "db-1", "state": "Deployed", "power_state": "on", "image": "lab", "hostname": "db-1"}},
		{"metalpool_allocation", "id", "dm-1", map[string]string{"id": "dm-1", "owner": "ann", "name": "db-1", "node": string(made.Node)}},
		{"metalpool_deployment", "id", "dm-1", map[string]string{"allocation_id": "dm-1", "image": "lab", "hostname": "db-1", "node": string(made.Node)}},
		{"metalpool_node", "name", string(made.Node), map[string]string{"id": string(made.Node), "state": "Deployed"}},
		{"metalpool_pool", "name", "default", map[string]string{"default_image": "lab"}},
		{"metalpool_image", "name", "lab", map[string]string{"user": "debian", "source": r.image("lab")}},
	} {
		imported, err := server.ImportResourceState(ctx, &tfprotov6.ImportResourceStateRequest{TypeName: c.kind, Identity: identified(t, c.name, c.value)})
		fine(t, err, imported.Diagnostics)
		if len(imported.ImportedResources) != 1 {
			t.Fatalf("%d of %s were imported", len(imported.ImportedResources), c.kind)
		}
		one := imported.ImportedResources[0]
		read, err := server.ReadResource(ctx, &tfprotov6.ReadResourceRequest{TypeName: c.kind, CurrentState: one.State, Private: one.Private, CurrentIdentity: one.Identity})
		fine(t, err, read.Diagnostics)
		got := texts(t, server.schemas.ResourceSchemas[c.kind], read.NewState)
		for name, want := range c.want {
			if got[name] != want {
				t.Errorf("%s of %s is %q, want %q", name, c.kind, got[name], want)
			}
		}
		if !identifies(t, read.NewIdentity, c.name, c.value) {
			t.Errorf("the identity of %s is %q", c.kind, read.NewIdentity.IdentityData.MsgPack)
		}
	}
}
