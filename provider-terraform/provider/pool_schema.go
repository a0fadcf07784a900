package provider

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// policy is what a change of a pool's attribute does.
const policy = " **Changing it:** in place; it counts from the next deploy or erase on, and no server is touched."

// policyModel is a metalpool_pool in configuration, plan and state.
type policyModel struct {
	ID            types.String `tfsdk:"id"`
	Name          types.String `tfsdk:"name"`
	DefaultImage  types.String `tfsdk:"default_image"`
	EraseMinimum  types.String `tfsdk:"erase_minimum"`
	Quota         types.Int64  `tfsdk:"quota"`
	StepsAtOnce   types.Int64  `tfsdk:"steps_at_once"`
	ManagementKey types.String `tfsdk:"management_key"`
	Profile       types.String `tfsdk:"profile"`
	Profiles      types.Set    `tfsdk:"profiles"`
	Phases        types.Object `tfsdk:"phase_timeouts"`
}

// phase is one of those whose time a pool bounds.
type phase struct {
	doc   string
	limit func(*core.Timeouts) *time.Duration
}

var phases = map[string]phase{
	"power":    {"Until a BMC reads back what was asked of the power", func(t *core.Timeouts) *time.Duration { return &t.Power }},
	"check_in": {"From power on until the ramdisk's agent calls; a slow self-test needs more", func(t *core.Timeouts) *time.Duration { return &t.CheckIn }},
	"write":    {"To write the image and read it back", func(t *core.Timeouts) *time.Duration { return &t.Write }},
	"ssh":      {"From the OS's start to its host key, and then to cloud-init's end", func(t *core.Timeouts) *time.Duration { return &t.SSH }},
	"kexec":    {"Until an OS that kexec started shows life; then it is started from its disk", func(t *core.Timeouts) *time.Duration { return &t.Kexec }},
	"erase":    {"To erase all disks and verify it", func(t *core.Timeouts) *time.Duration { return &t.Erase }},
}

// phaseTypes are the attribute types of phase_timeouts.
func phaseTypes() map[string]attr.Type {
	kinds := map[string]attr.Type{}
	for name := range phases {
		kinds[name] = types.StringType
	}
	return kinds
}

func (r *poolResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_pool"
}

func (r *poolResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	defaults := core.Timeouts{}.OrDefaults()
	limits := map[string]schema.Attribute{}
	for name, p := range phases {
		limits[name] = schema.StringAttribute{
			Optional: true, Validators: []validator.String{duration{}}, PlanModifiers: []planmodifier.String{duration{}},
			MarkdownDescription: p.doc + "; by default `" + core.FormatDuration(*p.limit(&defaults)) + "`.",
		}
	}
	oneOf := func(value, doc string, words ...string) schema.StringAttribute {
		return schema.StringAttribute{
			Optional: true, Computed: true, Default: stringdefault.StaticString(value), Validators: []validator.String{stringvalidator.OneOf(words...)},
			MarkdownDescription: doc + policy,
		}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "A named set of servers with a policy, declared by its operator. The pool `default` is there from the start, and can be declared as any other. Destroy is refused while servers belong to the pool.",
		Attributes: map[string]schema.Attribute{
			"id": computed("The name, as it is known once it is there: for `pool` of a `metalpool_machine` or a `metalpool_node` in the same configuration."),
			"name": schema.StringAttribute{
				Required: true, Validators: notEmpty, PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()},
				MarkdownDescription: "Name: letters, digits and dashes, at most 63. It is what import takes. **Changing it:** replacement, which is refused while servers belong to the pool.",
			},
			"default_image": schema.StringAttribute{
				Optional: true, Validators: notEmpty,
				MarkdownDescription: "Image of the catalogue that machines get which name none: `id` of a `metalpool_image`." + policy,
			},
			"erase_minimum": oneOf(string(core.Clear), "How thoroughly each disk is erased, at least, in the classes of NIST SP 800-88: `clear`, the default, or `purge`. A server with a disk that cannot be erased so is quarantined.", string(core.Clear), string(core.Purge)),
			"quota": schema.Int64Attribute{
				Optional: true, Validators: []validator.Int64{int64validator.AtLeast(1)},
				MarkdownDescription: "How many machines one owner may have at once; by default any number." + policy,
			},
			"steps_at_once": schema.Int64Attribute{
				Optional: true, Validators: []validator.Int64{int64validator.AtLeast(1)},
				MarkdownDescription: fmt.Sprintf("On how many of its servers steps of the pool's profiles are done at one time, by each process that works on them; by default %d. **Changing it:** in place; it counts at once, and no server is touched.", core.DefaultStepsAtOnce),
			},
			"profile": schema.StringAttribute{
				Optional: true, Validators: notEmpty,
				MarkdownDescription: "Choice of the operator's steps that machines get which name none. Steps and profiles are declared by a rack file (`metalpool apply -f FILE`); by default nothing is done besides." + policy,
			},
			"profiles": schema.SetAttribute{
				Optional: true, ElementType: textType, Validators: []validator.Set{setvalidator.ValueStringsAre(notEmpty...)},
				MarkdownDescription: "Other profiles that a machine of the pool may name." + policy,
			},
			"management_key": oneOf(string(core.ManageDeploy), "How long metalpool can log in to machines: `never`; `deploy`, the default: while a deploy needs it; `always`: so that `ssh_keys` of a machine that runs can be changed.", string(core.ManageNever), string(core.ManageDeploy), string(core.ManageAlways)),
			"phase_timeouts": schema.SingleNestedAttribute{
				Optional: true, Attributes: limits,
				MarkdownDescription: "How long each phase of the work on a server may take, such as `40m`." + policy,
			},
		},
	}
}

// policy is p as the model declares it; what that does not know of stays. Where the model
// is not all known yet, the second result is false.
func (m policyModel) policy(ctx context.Context, p core.Pool) (core.Pool, bool, diag.Diagnostics) {
	p.Name, p.DefaultImage, p.EraseMinimum = m.Name.ValueString(), m.DefaultImage.ValueString(), core.EraseClass(m.EraseMinimum.ValueString())
	p.Quota, p.StepsAtOnce, p.ManagementKey = int(m.Quota.ValueInt64()), int(m.StepsAtOnce.ValueInt64()), core.ManagementPolicy(m.ManagementKey.ValueString())
	p.Profile = m.Profile.ValueString()
	whole := !m.Name.IsUnknown() && !m.Profile.IsUnknown() && known(ctx, m.Profiles) && !m.DefaultImage.IsUnknown() && !m.EraseMinimum.IsUnknown() && !m.Quota.IsUnknown() && !m.StepsAtOnce.IsUnknown() && !m.ManagementKey.IsUnknown() && known(ctx, m.Phases)
	if !whole {
		return p, false, nil
	}
	var offers []string
	diags := m.Profiles.ElementsAs(ctx, &offers, false)
	if slices.Sort(offers); !slices.Equal(offers, slices.Sorted(slices.Values(p.Profiles))) {
		p.Profiles = offers // else in the order in which they are there
	}
	for _, phase := range phases {
		*phase.limit(&p.Timeouts) = 0
	}
	for name, value := range m.Phases.Attributes() {
		text, is := value.(types.String)
		if !is {
			continue
		}
		limit, err := core.ParseDuration(name, text.ValueString())
		if err != nil {
			fault(&diags, err, phasesPath.AtName(name))
		}
		*phases[name].limit(&p.Timeouts) = limit
	}
	return p, true, diags
}

// fill writes down the policy that is there, as it was written where it is the same.
func (m *policyModel) fill(p core.Pool) diag.Diagnostics {
	m.ID, m.Name, m.DefaultImage, m.Quota = types.StringValue(p.Name), types.StringValue(p.Name), textOf(p.DefaultImage), numberOf(p.Quota)
	m.StepsAtOnce, m.Profile = numberOf(p.StepsAtOnce), textOf(p.Profile)
	switch {
	case len(p.Profiles) > 0:
		m.Profiles = setOf(p.Profiles)
	case m.Profiles.IsNull() || len(m.Profiles.Elements()) > 0: // else it was written as an empty set
		m.Profiles = types.SetNull(textType)
	}
	m.EraseMinimum, m.ManagementKey = types.StringValue(string(core.Clear)), types.StringValue(string(core.ManageDeploy))
	if p.EraseMinimum != core.NotErased {
		m.EraseMinimum = types.StringValue(string(p.EraseMinimum))
	}
	if p.ManagementKey != "" {
		m.ManagementKey = types.StringValue(string(p.ManagementKey))
	}
	before, values := m.Phases.Attributes(), map[string]attr.Value{}
	for _, name := range slices.Sorted(maps.Keys(phases)) {
		written, _ := before[name].(types.String)
		there := *phases[name].limit(&p.Timeouts)
		if limit, err := core.ParseDuration(name, written.ValueString()); written.IsNull() || err != nil || limit != there {
			written = textOf(core.FormatDuration(there))
		}
		values[name] = written
	}
	if m.Phases.IsNull() && p.Timeouts == (core.Timeouts{}) {
		m.Phases = types.ObjectNull(phaseTypes())
		return nil
	}
	var diags diag.Diagnostics
	m.Phases, diags = types.ObjectValue(phaseTypes(), values)
	return diags
}
