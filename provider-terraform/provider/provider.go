// Package provider is metalpool's provider for Terraform: each of Terraform's verbs,
// said to a pool.
//
// It holds no knowledge of servers. It turns configuration into a core.Order, calls a
// core.Service, and turns what comes back into state and diagnostics. What it must care
// for itself is Terraform's own life: what a killed provider had to say is never stored,
// an error of create dooms what was created, and the state is plain text.
package provider

import (
	"context"
	"errors"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
)

// Address is the provider's name in the registry.
const Address = "registry.terraform.io/metalpool/metalpool"

// The environment that a provider reads where its block says nothing.
const (
	envURL   = open.EnvURL
	envToken = "METALPOOL_TOKEN"
	envOwner = core.EnvOwner
)

// metal is the provider.
type metal struct{ version string }

// New returns what makes a provider of this version.
func New(version string) func() provider.Provider {
	return func() provider.Provider { return &metal{version: version} }
}

// pool is what a configured provider gives all that it has.
type pool struct {
	core.Service
	owner  string
	served bool // behind https://
	claims claims
}

var _ interface {
	provider.ProviderWithFunctions
	provider.ProviderWithEphemeralResources
	provider.ProviderWithListResources
	provider.ProviderWithActions
} = &metal{}

func (p *metal) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName, resp.Version = "metalpool", p.version
}

type metalModel struct {
	URL   types.String `tfsdk:"url"`
	Token types.String `tfsdk:"token"`
	Owner types.String `tfsdk:"owner"`
}

func (p *metal) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Takes bare-metal servers from a metalpool, keeps them as declared, and gives them back erased.",
		Attributes: map[string]schema.Attribute{
			"url": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The pool: a path, `sqlite:///path/pool.db`, or `https://host:port` of a `metalpool serve`, whose CA `METALPOOL_FINGERPRINT` tells where nobody ran `metalpool login`. Read from `METALPOOL_URL` where it is left out; without either it is the pool in your home folder, `~/.local/share/metalpool/pool.db`.",
			},
			"token": schema.StringAttribute{
				Optional: true, Sensitive: true,
				MarkdownDescription: "Token for a pool behind `https://`. Better kept in `METALPOOL_TOKEN`, which is read where this is left out. It is never part of the state.",
			},
			"owner": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Who owns what is taken, such as `team-a/prod`. Read from `METALPOOL_OWNER` where it is left out. One of the two **must name it**, also where a configuration only reads: whose machines are one's own is asked by data sources and actions, too. Only behind `https://` it may be left out: there the token tells, and a warning says where that is somebody else. Give it the same value wherever this configuration is applied: an apply that was killed is gone on with by the next one of the same owner.",
			},
		},
	}
}

func (p *metal) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var m metalModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	read := func(name string, v types.String, env string) string {
		if v.IsUnknown() {
			fault(&resp.Diagnostics, &core.Error{
				Op: "open pool", Kind: core.Invalid, Err: errors.New(name + " is not known before the apply"),
				Hint: "apply what it comes from first, with -target, or set " + env,
			}, path.Root(name))
		}
		if text := v.ValueString(); text != "" {
			return text
		}
		return os.Getenv(env)
	}
	url, token, owner := read("url", m.URL, envURL), read("token", m.Token, envToken), read("owner", m.Owner, envOwner)
	if resp.Diagnostics.HasError() {
		return
	}
	place, err := open.Locate(url)
	isServed := err == nil && open.Served(place)
	if owner == "" && !isServed {
		fault(&resp.Diagnostics, &core.Error{
			Op: "open pool", Kind: core.Invalid, Err: errors.New("nobody is named who owns what is taken"),
			Hint: `set owner = "team-a/prod" in the provider's block, or ` + envOwner + "; user@host would be somebody else on the next machine that applies",
		}, path.Root("owner"))
		return
	}
	service, err := open.Service(ctx, url, open.Options{Token: token, Log: logger(ctx)})
	if err != nil {
		fault(&resp.Diagnostics, err, path.Root("url"))
		return
	}
	asked := owner
	if owner, err = open.Owner(ctx, service, asked); err != nil {
		fault(&resp.Diagnostics, err, path.Root("token"))
		return
	}
	if asked != "" && asked != owner {
		at := path.Root("owner")
		if m.Owner.ValueString() == "" {
			at = path.Empty() // it is in the environment
		}
		add(&resp.Diagnostics, diag.NewWarningDiagnostic("The owner is "+owner+", and not "+asked,
			"Behind https:// the token tells whose all is that is taken. Leave owner out, or unset "+envOwner+"; or give a token of "+asked+"."), at)
	}
	ready := &pool{Service: service, owner: owner, served: isServed}
	resp.ResourceData, resp.DataSourceData = ready, ready
	resp.EphemeralResourceData, resp.ListResourceData, resp.ActionData = ready, ready, ready
}

func (p *metal) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{newMachineResource, newAllocationResource, newDeploymentResource, newPoolResource, newImageResource, newNodeResource}
}

func (p *metal) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{newNodesData, newMachineData, newPoolsData, newImagesData, newMatchData}
}

// Functions implements provider.ProviderWithFunctions.
func (p *metal) Functions(context.Context) []func() function.Function {
	return []func() function.Function{newParseSize, newParseConstraints, newMergeCloudInit, newSSHFingerprint}
}

// EphemeralResources implements provider.ProviderWithEphemeralResources.
func (p *metal) EphemeralResources(context.Context) []func() ephemeral.EphemeralResource {
	return []func() ephemeral.EphemeralResource{newConsoleEphemeral}
}

// ListResources implements provider.ProviderWithListResources.
func (p *metal) ListResources(context.Context) []func() list.ListResource {
	return []func() list.ListResource{newMachineList, newAllocationList, newNodeList}
}

// Actions implements provider.ProviderWithActions.
func (p *metal) Actions(context.Context) []func() action.Action {
	return []func() action.Action{newPowerAction, newRedeployAction, newReleaseAction}
}
