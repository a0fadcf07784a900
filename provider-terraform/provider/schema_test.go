package provider

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

// TestSchemas has the framework look over all schemas, and holds that everything in
// them is explained.
func TestSchemas(t *testing.T) {
	server, err := providerserver.NewProtocol6WithError(New("test")())()
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range resp.Diagnostics {
		t.Errorf("%s: %s", d.Summary, d.Detail)
	}
	if len(resp.ResourceSchemas) == 0 || len(resp.DataSourceSchemas) == 0 {
		t.Fatal("there are no schemas to look at")
	}
	explained(t, "provider", resp.Provider.Block)
	for name, s := range resp.ResourceSchemas {
		explained(t, name, s.Block)
	}
	for name, s := range resp.DataSourceSchemas {
		explained(t, "data."+name, s.Block)
	}
	if len(resp.EphemeralResourceSchemas) == 0 || len(resp.ListResourceSchemas) == 0 || len(resp.ActionSchemas) == 0 {
		t.Error("there are kinds of which there is nothing to look at")
	}
	for name, s := range resp.EphemeralResourceSchemas {
		explained(t, "ephemeral."+name, s.Block)
	}
	for name, s := range resp.ListResourceSchemas {
		explained(t, "list."+name, s.Block)
	}
	for name, s := range resp.ActionSchemas {
		explained(t, "action."+name, s.Schema.Block)
	}
	if len(resp.Functions) == 0 {
		t.Error("there are no functions to look at")
	}
	for name, f := range resp.Functions {
		if !strings.HasSuffix(f.Summary, ".") || !strings.HasSuffix(f.Description, ".") {
			t.Errorf("%s is explained as %q: %q", name, f.Summary, f.Description)
		}
	}
}

// TestBlankScripts: a script without anything in it is a mistake, such as the wrong file.
func TestBlankScripts(t *testing.T) {
	var redeploy action.SchemaResponse
	newRedeployAction().Schema(t.Context(), action.SchemaRequest{}, &redeploy)
	for where, a := range map[string]any{"resources": systemAttributes("")["post_deploy"], "redeploy": redeploy.Schema.Attributes["post_deploy"]} {
		if !slices.Contains(a.(interface{ StringValidators() []validator.String }).StringValidators(), notBlank) {
			t.Errorf("post_deploy of %s may be blank", where)
		}
	}
	for text, refused := range map[string]bool{"": true, " \n\t\r\n": true, "true": false, "\n#!/bin/sh\ntrue\n": false} {
		var resp validator.StringResponse
		notBlank.ValidateString(t.Context(), validator.StringRequest{Path: path.Root("post_deploy"), ConfigValue: types.StringValue(text)}, &resp)
		if resp.Diagnostics.HasError() != refused {
			t.Errorf("post_deploy = %q: %v", text, resp.Diagnostics)
		}
	}
}

func explained(t *testing.T, where string, b *tfprotov6.SchemaBlock) {
	attributes(t, where, b.Attributes)
	for _, nested := range b.BlockTypes {
		if at := where + "." + nested.TypeName; !strings.HasSuffix(at, ".timeouts") {
			if nested.Block.Description == "" {
				t.Errorf("%s is not explained", at)
			}
			explained(t, at, nested.Block)
		}
	}
}

func attributes(t *testing.T, where string, list []*tfprotov6.SchemaAttribute) {
	for _, a := range list {
		if !strings.HasSuffix(a.Description, ".") {
			t.Errorf("%s.%s is explained as %q", where, a.Name, a.Description)
		}
		if a.NestedType != nil {
			attributes(t, where+"."+a.Name, a.NestedType.Attributes)
		}
	}
}

// TestChangesAreTold holds that whatever can be set says what its change does.
func TestChangesAreTold(t *testing.T) {
	var resp resource.SchemaResponse
	for _, made := range new(metal).Resources(t.Context()) {
		r := made()
		resp = resource.SchemaResponse{}
		r.Schema(t.Context(), resource.SchemaRequest{}, &resp)
		for name, a := range resp.Schema.Attributes {
			told := strings.Contains(a.GetMarkdownDescription(), "**Changing it:**")
			if settable := a.IsOptional() || a.IsRequired(); settable != told && !a.IsWriteOnly() {
				t.Errorf("%s of %T can be set: %v; it says what a change does: %v", name, r, settable, told)
			}
		}
	}
	resp = resource.SchemaResponse{}
	newMachineResource().Schema(t.Context(), resource.SchemaRequest{}, &resp)
	for _, name := range redeployable {
		a, there := resp.Schema.Attributes[name]
		if !there || !strings.Contains(a.GetMarkdownDescription(), redeploy) {
			t.Errorf("%s is to say that allow_redeploy may list it", name)
		}
		if !strings.Contains(resp.Schema.Attributes["allow_redeploy"].GetMarkdownDescription(), "`"+name+"`") {
			t.Errorf("allow_redeploy does not name %s", name)
		}
	}
}
