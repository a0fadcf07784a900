package provider

import (
	"context"
	"errors"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// operated is what the resources of a pool's operator have: the part T of the pool that
// they work on. Who only takes servers of it is given none.
type operated[T any] struct {
	pool   T
	claims *claims
}

func (o *operated[T]) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	p, configured := req.ProviderData.(*pool)
	if !configured {
		return
	}
	o.claims = &p.claims
	var may bool
	if o.pool, may = p.Service.(T); !may {
		fault(&resp.Diagnostics, &core.Error{
			Op: "open pool", Kind: core.Denied, Err: errors.New("its nodes, images and policies are its operator's to change"),
			Hint: "name the pool's own store as url, on the host that has it",
		}, path.Empty())
	}
}

// nameIdentity is the identity of what the operator has given a name.
type nameIdentity struct {
	Name types.String `tfsdk:"name"`
}

// IdentitySchema implements resource.ResourceWithIdentity.
func (*operated[T]) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{Attributes: map[string]identityschema.Attribute{
		"name": identityschema.StringAttribute{RequiredForImport: true, Description: "Its name in the pool."},
	}}
}

// gone tells that something is not there any more, and has it planned anew.
func gone(ctx context.Context, resp *resource.ReadResponse, what string) {
	resp.Diagnostics.AddWarning(what+" is gone", "Terraform did not remove it; a plan makes it anew.")
	resp.State.RemoveResource(ctx)
}

// importedName is the name that an import gives, as an ID or an identity.
func importedName(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) string {
	name := req.ID
	if name == "" && req.Identity != nil && !req.Identity.Raw.IsNull() {
		var identity nameIdentity
		resp.Diagnostics.Append(req.Identity.Get(ctx, &identity)...)
		name = identity.Name.ValueString()
	}
	if name == "" && !resp.Diagnostics.HasError() {
		fault(&resp.Diagnostics, nothingNamed("its name"), path.Empty())
	}
	return name
}

// nothingNamed is that an import was told nothing, as by a variable that is empty.
func nothingNamed(by string) error {
	return &core.Error{Op: "import", Kind: core.Invalid, Err: errors.New("what to import is not named: its ID is empty"), Hint: "give " + by}
}
