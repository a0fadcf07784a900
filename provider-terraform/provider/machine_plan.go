package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// effect is what a plan does to a machine that is there.
type effect struct {
	replace  []string // attributes for whose sake another server is taken
	redeploy []string // attributes for whose sake the same server is deployed anew
	unlisted []string // those of replace that allow_redeploy could have listed
	listed   []string // what it lists
	unknown  []string // attributes that were imported without being known, and are taken as given
	keys     bool     // other keys are let in by the machine that runs
	finish   bool     // the deploy has not come to its end
}

// deploys reports whether the server's root disk is going to be written.
func (e effect) deploys() bool { return len(e.replace) == 0 && (len(e.redeploy) > 0 || e.finish) }

// decide compares what there is with what is asked for. misfit is whether the node
// lacks something of the requirements; imported, whether the machine came by an import
// and nobody knows its user data.
func decide(there, asked machineModel, allowed []string, misfit, imported bool) effect {
	e := effect{listed: allowed}
	for name, pair := range map[string][2]attr.Value{
		"pool": {there.Pool, asked.Pool}, "node": {there.Node, asked.Node}, "arch": {there.Arch, asked.Arch},
	} {
		if !pair[0].Equal(pair[1]) {
			e.replace = append(e.replace, name)
		}
	}
	if misfit {
		e.replace = append(e.replace, "requirements")
	}
	for _, name := range redeployable {
		before, after := there.attribute(name), asked.attribute(name)
		switch {
		case before.Equal(after):
		case name == "ssh_keys" && there.Managed.ValueBool():
			e.keys = true
		case imported && before.IsNull() && forgotten(name):
			e.unknown = append(e.unknown, name)
		case slices.Contains(allowed, name):
			e.redeploy = append(e.redeploy, name)
		default:
			e.replace = append(e.replace, name)
			e.unlisted = append(e.unlisted, name)
		}
	}
	slices.Sort(e.replace)
	e.finish = there.State.ValueString() != string(core.Deployed)
	e.keys = e.keys && len(e.replace) == 0 && !e.deploys() // a deploy brings them along
	return e
}

// forgotten reports whether the pool does not keep what a machine was deployed with.
func forgotten(name string) bool {
	return strings.HasPrefix(name, "user_data") || name == "post_deploy_version"
}

// attribute is one of those that allow_redeploy may list.
func (m machineModel) attribute(name string) attr.Value {
	switch name {
	case "image":
		return m.Image
	case "profile":
		return m.Profile
	case "hostname":
		return m.Hostname
	case "ssh_user":
		return m.SSHUser
	case "ssh_port":
		return m.SSHPort
	case "ssh_keys":
		return m.SSHKeys
	case "user_data":
		return m.UserData
	case "post_deploy_version":
		return m.PostDeployVersion
	}
	return m.UserDataWOVersion
}

// ModifyPlan says what the apply will do to the server, and refuses now what it could
// not do then.
func (r *machineResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	var config, plan, state machineModel
	if req.Plan.Raw.IsNull() {
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
		if !resp.Diagnostics.HasError() && r.protected(ctx, state) {
			resp.Diagnostics.Append(protection(state, "destroy"))
		}
		return
	}
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if req.State.Raw.IsNull() {
		r.planCreate(ctx, config, plan, resp)
		return
	}
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() || r.pool == nil {
		return
	}
	imported, diags := req.Private.GetKey(ctx, importedKey)
	resp.Diagnostics.Append(diags...)
	misfit, why := r.misfit(ctx, state, plan, resp)
	var allowed []string
	if known(ctx, plan.AllowRedeploy) && !plan.AllowRedeploy.IsNull() {
		resp.Diagnostics.Append(plan.AllowRedeploy.ElementsAs(ctx, &allowed, false)...)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	e := decide(state, plan, allowed, misfit, string(imported) == importedValue)
	for _, name := range e.replace {
		resp.RequiresReplace = append(resp.RequiresReplace, path.Root(name))
	}
	if len(e.replace) > 0 && r.protected(ctx, state) {
		resp.Diagnostics.Append(protection(state, "replace, for the sake of "+strings.Join(e.replace, ", ")+","))
		return
	}
	e.checkKeys(state, plan, resp)
	if e.deploys() || !plan.WaitFor.Equal(state.WaitFor) {
		r.checkRedeploy(ctx, config, plan, state, resp)
	}
	if e.deploys() {
		expectDeploy(&plan, config, state)
		resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
	}
	e.tell(state, why, resp)
	if len(e.replace) > 0 && r.replaceable(ctx, config, plan, state, &resp.Diagnostics) {
		r.planReplacement(ctx, config, plan, state, &resp.Diagnostics)
	}
}

// checkKeys refuses to change the keys of a machine that is off and is to stay so.
func (e effect) checkKeys(state, plan machineModel, resp *resource.ModifyPlanResponse) {
	if e.keys && state.PowerState.ValueString() == powerOff && plan.PowerState.Equal(state.PowerState) {
		resp.Diagnostics.AddAttributeError(path.Root("ssh_keys"), "Machine "+state.Name.ValueString()+" is off",
			"Keys are changed on the machine that runs.\n\nWhat to do: set power_state = \"on\" with them.")
	}
}

// deploys reports whether expectDeploy has said so of the plan.
func (m machineModel) deploys() bool { return m.Address.IsUnknown() }

// expectDeploy makes unknown what a deploy makes anew. That a machine was off is no wish
// to have the next system off, and another image may have another user.
func expectDeploy(plan *machineModel, config, state machineModel) {
	plan.State = types.StringValue(string(core.Deployed))
	plan.Address, plan.SSHHostKey, plan.SSHKnownHosts = types.StringUnknown(), types.StringUnknown(), types.StringUnknown()
	plan.Managed = types.BoolUnknown() // as the pool's policy is then
	plan.DockerPort, plan.SSHHostKeys = types.Int64Unknown(), types.ListUnknown(textType)
	// A machine that never came this far does not know these yet.
	for _, v := range []*types.String{&plan.Node, &plan.Arch, &plan.Image, &plan.Hostname, &plan.SSHUser} {
		if v.IsNull() {
			*v = types.StringUnknown()
		}
	}
	if plan.SSHPort.IsNull() {
		plan.SSHPort = types.Int64Unknown()
	}
	if config.PowerState.IsNull() {
		plan.PowerState = types.StringUnknown()
	}
	other := state.State.ValueString() != string(core.Deployed) || !plan.Image.Equal(state.Image)
	if config.SSHUser.IsNull() && other {
		plan.SSHUser = types.StringUnknown()
	}
}

// tell adds as warnings what the plan itself does not show.
func (e effect) tell(state machineModel, why string, resp *resource.ModifyPlanResponse) {
	name, node := state.Name.ValueString(), state.Node.ValueString()
	warn := func(summary, format string, args ...any) {
		resp.Diagnostics.AddWarning(summary, fmt.Sprintf(format, args...))
	}
	if why != "" {
		warn("Machine "+name+" is replaced: its server lacks what is asked for now", "Node %s %s.", node, why)
	}
	// What the server lacks has been told.
	if changed := slices.DeleteFunc(slices.Clone(e.replace), func(name string) bool { return name == "requirements" }); len(changed) > 0 {
		instead := ""
		if len(e.unlisted) == len(e.replace) {
			instead = " To deploy the same server anew instead, list it: allow_redeploy = [\"" + strings.Join(append(slices.Clone(e.listed), e.unlisted...), `", "`) + "\"]."
		}
		warn("Machine "+name+" is replaced by another server", "The change of %s gives node %s back, all of whose disks are erased, and takes a server anew.%s",
			strings.Join(changed, ", "), node, instead)
	}
	if slices.Contains(e.unlisted, "ssh_keys") {
		warn("The keys of machine "+name+" cannot be changed while it runs", "Its pool kept no management key when it was deployed. Machines that are deployed after 'metalpool pool set %s --management-key always' can be changed in place.", state.Pool.ValueString())
	}
	switch {
	case !e.deploys():
	case len(e.redeploy) > 0:
		warn("Machine "+name+" is deployed anew", "The change of %s writes over the root disk of node %s; other disks stay as they are.", strings.Join(e.redeploy, ", "), node)
	default:
		warn("Machine "+name+" is not ready yet", "It is %s; the apply goes on with its deploy.", state.State.ValueString())
	}
	if len(e.unknown) > 0 && len(e.replace) == 0 {
		warn("Machine "+name+" was imported", "The pool does not keep user data and scripts: what the configuration says is taken for what the machine was deployed with, and nothing is deployed.")
	}
}

// misfit reports whether the machine's node lacks what the plan requires of it, and
// what.
func (r *machineResource) misfit(ctx context.Context, state, plan machineModel, resp *resource.ModifyPlanResponse) (bool, string) {
	if state.Requirements.Equal(plan.Requirements) {
		return false, ""
	}
	if !known(ctx, plan.Requirements) {
		return true, "may lack it: the requirements are not known before the apply"
	}
	ask, diags := request(ctx, plan.Requirements)
	resp.Diagnostics.Append(diags...)
	n, err := r.pool.Node(ctx, core.NodeID(state.Node.ValueString()))
	switch {
	case err == nil:
		why := core.Mismatch(n, ask)
		return why != "", why
	case !core.Is(err, core.NotFound):
		fault(&resp.Diagnostics, err, path.Root("requirements"))
	}
	return false, "" // it never came to have one, or the next refresh tells that it is gone
}

// planCreate tells now what the pool would say to the order. What may pass until the
// apply, or by it, is a warning.
func (r *machineResource) planCreate(ctx context.Context, config, plan machineModel, resp *resource.ModifyPlanResponse) {
	if r.pool == nil {
		return // validated without a provider
	}
	plan.Owner = types.StringValue(r.pool.owner)
	if config.Pool.IsNull() {
		plan.Pool = types.StringValue(core.DefaultPool)
	}
	if config.Hostname.IsNull() {
		plan.Hostname = plan.Name
	}
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
	o, whole, diags := order(ctx, config, plan)
	resp.Diagnostics.Append(diags...)
	if !whole || resp.Diagnostics.HasError() {
		return
	}
	o.ID = core.AllocationID(core.NewID("plan"))
	err := r.pool.Check(ctx, o)
	switch {
	case err == nil:
	case core.Is(err, core.Exists):
		// It may be this machine, about to be replaced, or one that a killed apply left.
		r.planAgain(ctx, o, config.Wait, &resp.Diagnostics)
	case core.Is(err, core.NoCapacity, core.Denied, core.Busy, core.Transient, core.Timeout):
		orderDoubt(&resp.Diagnostics, err, asThingsAre)
	default:
		_, there := r.pool.MachineNamed(ctx, o.Owner, o.Name)
		refusal(there == nil)(&resp.Diagnostics, err)
	}
}

// checkRedeploy refuses what could not be deployed: an image that is not there or is for
// other processors, user data that cannot be read, a wait that the pool rules out.
func (r *machineResource) checkRedeploy(ctx context.Context, config, plan, state machineModel, resp *resource.ModifyPlanResponse) {
	o, whole, diags := order(ctx, config, plan)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	o.ID, o.Owner = core.AllocationID(state.ID.ValueString()), state.Owner.ValueString()
	check := r.pool.CheckDeploy
	if state.Node.IsNull() {
		check = r.pool.Check // its create never came to take a server, and is gone on with
	}
	err := check(ctx, o)
	if !core.Is(err, core.Invalid, core.NotFound) {
		return // what passes until the apply is the apply's
	}
	if whole || attributeOf(err).Equal(path.Root("image")) {
		refusal(state.State.ValueString() != string(core.Deployed))(&resp.Diagnostics, err)
	}
}
