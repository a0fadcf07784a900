// Command schemajson prints the provider's schemas as 'terraform providers schema -json'
// does, for the program that writes the docs. It asks the provider itself: a terraform of
// the tests' age would leave out what it does not know, such as identities.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/metalpool/metalpool/provider-terraform/provider"
)

// address is where the docs' writer looks for any provider's schemas.
const address = "registry.terraform.io/hashicorp/metalpool"

type object = map[string]any

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "schemajson:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	server, err := providerserver.NewProtocol6WithError(provider.New("docs")())()
	if err != nil {
		return err
	}
	all, err := server.GetProviderSchema(ctx, &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		return err
	}
	identities, err := server.GetResourceIdentitySchemas(ctx, &tfprotov6.GetResourceIdentitySchemasRequest{})
	if err != nil {
		return err
	}
	for _, d := range append(all.Diagnostics, identities.Diagnostics...) {
		err = errors.Join(err, errors.New(d.Summary+": "+d.Detail))
	}
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(object{"format_version": "1.0", "provider_schemas": object{address: object{
		"provider":                   schema(all.Provider),
		"resource_schemas":           each(all.ResourceSchemas, schema),
		"data_source_schemas":        each(all.DataSourceSchemas, schema),
		"ephemeral_resource_schemas": each(all.EphemeralResourceSchemas, schema),
		"list_resource_schemas":      each(all.ListResourceSchemas, schema),
		"action_schemas":             each(all.ActionSchemas, action),
		"functions":                  each(all.Functions, function),
		"resource_identity_schemas":  each(identities.IdentitySchemas, identity),
	}}})
}

func each[T any](named map[string]T, write func(T) object) object {
	out := object{}
	for name, v := range named {
		out[name] = write(v)
	}
	return out
}

func schema(s *tfprotov6.Schema) object {
	return object{"version": s.Version, "block": block(s.Block)}
}

func action(a *tfprotov6.ActionSchema) object { return object{"block": block(a.Schema.Block)} }

func block(b *tfprotov6.SchemaBlock) object {
	nested := object{}
	for _, n := range b.BlockTypes {
		nested[n.TypeName] = object{"nesting_mode": blockModes[n.Nesting], "min_items": n.MinItems, "max_items": n.MaxItems, "block": block(n.Block)}
	}
	return object{"attributes": attributes(b.Attributes), "block_types": nested, "description": b.Description, "description_kind": kinds[b.DescriptionKind]}
}

func attributes(list []*tfprotov6.SchemaAttribute) object {
	out := object{}
	for _, a := range list {
		o := object{
			"description": a.Description, "description_kind": kinds[a.DescriptionKind], "required": a.Required, "optional": a.Optional,
			"computed": a.Computed, "sensitive": a.Sensitive, "write_only": a.WriteOnly, "deprecated": a.Deprecated,
		}
		if a.NestedType != nil {
			o["nested_type"] = object{"nesting_mode": objectModes[a.NestedType.Nesting], "attributes": attributes(a.NestedType.Attributes)}
		} else {
			o["type"] = a.Type
		}
		out[a.Name] = o
	}
	return out
}

func function(f *tfprotov6.Function) object {
	parameter := func(p *tfprotov6.FunctionParameter) object {
		return object{"name": p.Name, "description": p.Description, "is_nullable": p.AllowNullValue, "type": p.Type}
	}
	parameters := []object{}
	for _, p := range f.Parameters {
		parameters = append(parameters, parameter(p))
	}
	o := object{"summary": f.Summary, "description": f.Description, "return_type": f.Return.Type, "parameters": parameters}
	if f.VariadicParameter != nil {
		o["variadic_parameter"] = parameter(f.VariadicParameter)
	}
	return o
}

func identity(s *tfprotov6.ResourceIdentitySchema) object {
	out := object{}
	for _, a := range s.IdentityAttributes {
		out[a.Name] = object{"type": a.Type, "description": a.Description, "required_for_import": a.RequiredForImport, "optional_for_import": a.OptionalForImport}
	}
	return object{"version": s.Version, "attributes": out}
}

var (
	kinds      = map[tfprotov6.StringKind]string{tfprotov6.StringKindPlain: "plain", tfprotov6.StringKindMarkdown: "markdown"}
	blockModes = map[tfprotov6.SchemaNestedBlockNestingMode]string{
		tfprotov6.SchemaNestedBlockNestingModeSingle: "single", tfprotov6.SchemaNestedBlockNestingModeList: "list", tfprotov6.SchemaNestedBlockNestingModeSet: "set",
		tfprotov6.SchemaNestedBlockNestingModeMap: "map", tfprotov6.SchemaNestedBlockNestingModeGroup: "group",
	}
	objectModes = map[tfprotov6.SchemaObjectNestingMode]string{
		tfprotov6.SchemaObjectNestingModeSingle: "single", tfprotov6.SchemaObjectNestingModeList: "list",
		tfprotov6.SchemaObjectNestingModeSet: "set", tfprotov6.SchemaObjectNestingModeMap: "map",
	}
)
