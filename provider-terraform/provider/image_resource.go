package provider

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// readImageTimeout is enough to fetch a large image over a slow line.
const readImageTimeout = 2 * time.Hour

var (
	errPassword = errors.New("the address holds a user or a password, which would be stored and shown")
	errAddress  = errors.New("the address is not one") // it may have a password in it
)

// catalogue is where the images are.
type catalogue interface {
	Image(ctx context.Context, name string) (core.Image, error)
	AddImage(ctx context.Context, i core.Image, progress func(done, total core.Bytes)) (core.Image, error)
	RemoveImage(ctx context.Context, name string, by core.Declarer, takeOver bool) error
}

// imageResource is metalpool_image.
type imageResource struct{ operated[catalogue] }

func newImageResource() resource.Resource { return &imageResource{} }

var _ interface {
	resource.ResourceWithConfigure
	resource.ResourceWithModifyPlan
	resource.ResourceWithImportState
	resource.ResourceWithIdentity
} = &imageResource{}

// ModifyPlan replaces an image whose content is another one, or may be.
func (r *imageResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	var config, plan, state catalogueModel
	if req.Plan.Raw.IsNull() || req.State.Raw.IsNull() {
		return
	}
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	switch {
	case !config.SHA256.IsNull():
		if !plan.SHA256.Equal(state.SHA256) {
			resp.RequiresReplace = append(resp.RequiresReplace, path.Root("sha256"))
		}
	case !plan.Source.Equal(state.Source):
		resp.RequiresReplace = append(resp.RequiresReplace, path.Root("source"))
	}
	if len(resp.RequiresReplace) > 0 {
		plan.Format, plan.Size, plan.MinDisk = types.StringUnknown(), types.Int64Unknown(), types.Int64Unknown()
		if config.SHA256.IsNull() {
			plan.SHA256 = types.StringUnknown()
		}
		resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
		return
	}
	// Terraform sees a change where a source is only written in another way, and has what
	// is computed unknown by it: a plan that would never come to an end.
	same := resp.Plan
	resp.Diagnostics.Append(same.SetAttribute(ctx, path.Root("added_at"), state.AddedAt)...)
	if same.Raw.Equal(req.State.Raw) {
		resp.Plan = same
	}
}

// Create puts an image into the catalogue. One that is there with the same content, and
// as asked for, is the one that a killed create has left.
func (r *imageResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var config, plan catalogueModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	limit, diags := plan.Timeouts.Create(ctx, readImageTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	asked := plan.image(config, core.Image{})
	if err := r.claims.claim(anImage, asked.Name, asked.Name); err != nil {
		fault(&resp.Diagnostics, err, path.Root("name"))
		return
	}
	if there, err := r.pool.Image(ctx, asked.Name); err == nil && !asListed(there, asked) {
		taken(&resp.Diagnostics, &core.Error{
			Op: "add image " + asked.Name, Kind: core.Exists, Err: errors.New("it is there with another user, architecture, boot or source"), Hint: "choose another name",
		}, asked.Name)
		return
	}
	asked.DeclaredBy = core.DeclaredInTerraform
	added, err := r.pool.AddImage(ctx, asked, nil)
	switch {
	case core.Is(err, core.Exists):
		taken(&resp.Diagnostics, err, asked.Name)
		return
	case err != nil:
		imageFault(&resp.Diagnostics, err)
		return
	}
	plan.fill(added)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, nameIdentity{plan.Name})...)
}

// asListed reports whether an image is noted as it is asked for. Its content is compared
// when it is added.
func asListed(there, asked core.Image) bool {
	return there.User == asked.User && there.Arch == asked.Arch && calledSource(there) == asked.Source && cmp.Or(there.Boot, core.Kexec) == asked.Boot
}

// Read asks the catalogue; the file is not read.
func (r *imageResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state catalogueModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.Identity.Set(ctx, nameIdentity{state.Name})...)
	there, err := r.pool.Image(ctx, state.Name.ValueString())
	if core.Is(err, core.NotFound) {
		gone(ctx, resp, "Image "+state.Name.ValueString())
		return
	}
	if err != nil {
		imageFault(&resp.Diagnostics, err)
		return
	}
	state.fill(there)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// Update changes what is noted of the image. The file is read again: it must be the same.
func (r *imageResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var config, plan, state catalogueModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, nameIdentity{state.Name})...)
	limit, diags := plan.Timeouts.Update(ctx, readImageTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	there, err := r.pool.Image(ctx, state.Name.ValueString())
	if err == nil {
		asked := plan.image(config, there)
		asked.SHA256, asked.DeclaredBy = state.SHA256.ValueString(), core.DeclaredInTerraform
		there, err = r.pool.AddImage(ctx, asked, nil)
	}
	if err != nil {
		imageFault(&resp.Diagnostics, err)
		return
	}
	plan.fill(there)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// Delete takes the image out of the catalogue, unless it is used.
func (r *imageResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state catalogueModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if err := r.pool.RemoveImage(ctx, state.Name.ValueString(), core.DeclaredInTerraform, false); err != nil && !core.Is(err, core.NotFound) {
		imageFault(&resp.Diagnostics, err)
	}
}

// ImportState finds an image by its name.
func (r *imageResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	name := importedName(ctx, req, resp)
	if resp.Diagnostics.HasError() {
		return
	}
	there, err := r.pool.Image(ctx, name)
	if err != nil {
		imageFault(&resp.Diagnostics, err)
		return
	}
	var m catalogueModel
	resp.Diagnostics.Append(resp.State.GetAttribute(ctx, path.Root("timeouts"), &m.Timeouts)...)
	if !mayBeSecret(there.Source) {
		m.Source = types.StringValue(calledSource(there))
	}
	m.fill(there)
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, nameIdentity{m.Name})...)
}
