//go:build linux

package main_test

import (
	"context"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/metalpool/metalpool/lab/labtest"
)

// spoken is a configured provider that is spoken to as terraform does: for what
// terraform itself can do only in versions to come.
type spoken struct {
	tfprotov6.ProviderServer
	schemas *tfprotov6.GetProviderSchemaResponse
}

func (r *rig) speak(t *testing.T) spoken {
	t.Helper()
	server, err := inProcess()["metalpool"]()
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	fine(t, err, schemas.Diagnostics)
	configured, err := server.ConfigureProvider(t.Context(), &tfprotov6.ConfigureProviderRequest{Config: object(t, schemas.Provider, map[string]any{"url": r.URL, "owner": owner})})
	fine(t, err, configured.Diagnostics)
	return spoken{server, schemas}
}

// fine ends the test where something is not.
func fine(t *testing.T, err error, diags []*tfprotov6.Diagnostic) {
	t.Helper()
	for _, d := range diags {
		t.Errorf("%s: %s", d.Summary, d.Detail)
	}
	if err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// unknown is a value that a plan does not know yet.
const unknown = tftypes.UnknownValue

// object is a block of a schema with some of its attributes set.
func object(t *testing.T, s *tfprotov6.Schema, set map[string]any) *tfprotov6.DynamicValue {
	t.Helper()
	kind, is := s.ValueType().(tftypes.Object)
	if !is {
		t.Fatalf("the schema is of type %s", s.ValueType())
	}
	values := map[string]tftypes.Value{}
	for name, is := range kind.AttributeTypes {
		values[name] = tftypes.NewValue(is, plain(set[name]))
	}
	for name := range set {
		if _, there := values[name]; !there {
			t.Fatalf("the schema has no %s", name)
		}
	}
	v, err := tfprotov6.NewDynamicValue(kind, tftypes.NewValue(kind, values))
	fine(t, err, nil)
	return &v
}

// plain has texts of lists and maps as values of their own.
func plain(v any) any {
	switch v := v.(type) {
	case []string:
		list := make([]tftypes.Value, len(v))
		for i, text := range v {
			list[i] = tftypes.NewValue(tftypes.String, text)
		}
		return list
	case map[string]string:
		all := map[string]tftypes.Value{}
		for key, text := range v {
			all[key] = tftypes.NewValue(tftypes.String, text)
		}
		return all
	}
	return v
}

// texts are the attributes of an object that are known texts.
func texts(t *testing.T, s *tfprotov6.Schema, v *tfprotov6.DynamicValue) map[string]string {
	t.Helper()
	value, err := v.Unmarshal(s.ValueType())
	fine(t, err, nil)
	attributes, found := map[string]tftypes.Value{}, map[string]string{}
	fine(t, value.As(&attributes), nil)
	for name, a := range attributes {
		var text string
		if a.Type().Is(tftypes.String) && a.IsKnown() && !a.IsNull() && a.As(&text) == nil {
			found[name] = text
		}
	}
	return found
}

// plan plans an action, and returns what the provider has against it.
func (s spoken) plan(t *testing.T, kind string, set map[string]any) []*tfprotov6.Diagnostic {
	t.Helper()
	server, can := s.ProviderServer.(tfprotov6.ActionServer)
	if !can {
		t.Fatal("the provider has no actions")
	}
	config := object(t, s.schemas.ActionSchemas[kind].Schema, set)
	valid, err := server.ValidateActionConfig(t.Context(), &tfprotov6.ValidateActionConfigRequest{ActionType: kind, Config: config})
	fine(t, err, nil)
	if len(valid.Diagnostics) > 0 {
		return valid.Diagnostics
	}
	planned, err := server.PlanAction(t.Context(), &tfprotov6.PlanActionRequest{ActionType: kind, Config: config})
	fine(t, err, nil)
	return planned.Diagnostics
}

// invoke does an action, and returns what it told on its way and what came of it.
func (s spoken) invoke(t *testing.T, kind string, set map[string]any) (told []string, diags []*tfprotov6.Diagnostic) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), labtest.Patience)
	defer cancel()
	server := s.ProviderServer.(tfprotov6.ActionServer)
	stream, err := server.InvokeAction(ctx, &tfprotov6.InvokeActionRequest{ActionType: kind, Config: object(t, s.schemas.ActionSchemas[kind].Schema, set)})
	fine(t, err, nil)
	for event := range stream.Events {
		switch e := event.Type.(type) {
		case tfprotov6.ProgressInvokeActionEventType:
			told = append(told, e.Message)
		case tfprotov6.CompletedInvokeActionEventType:
			diags = e.Diagnostics
		}
	}
	return told, diags
}

// list lists, and returns what there is.
func (s spoken) list(t *testing.T, kind string, limit int64, set map[string]any) (found []tfprotov6.ListResourceResult) {
	t.Helper()
	server, can := s.ProviderServer.(tfprotov6.ListResourceServer)
	if !can {
		t.Fatal("the provider has no lists")
	}
	config := object(t, s.schemas.ListResourceSchemas[kind], set)
	valid, err := server.ValidateListResourceConfig(t.Context(), &tfprotov6.ValidateListResourceConfigRequest{TypeName: kind, Config: config})
	fine(t, err, valid.Diagnostics)
	stream, err := server.ListResource(t.Context(), &tfprotov6.ListResourceRequest{TypeName: kind, Config: config, Limit: limit, IncludeResource: true})
	fine(t, err, nil)
	for result := range stream.Results {
		fine(t, nil, result.Diagnostics)
		found = append(found, result)
	}
	return found
}
