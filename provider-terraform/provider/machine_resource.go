package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/metalpool/metalpool/core"
)

// Timeouts of the operations, where the configuration names none. The pool bounds each
// phase by itself.
const (
	createTimeout = core.DefaultDeployTimeout
	updateTimeout = core.DefaultDeployTimeout
	readTimeout   = 2 * time.Minute
	// lookTimeout is for a look at what became of a machine whose own time is over.
	lookTimeout = 30 * time.Second
)

// machineResource is metalpool_machine.
type machineResource struct{ pool *pool }

func newMachineResource() resource.Resource { return &machineResource{} }

var _ interface {
	resource.ResourceWithConfigure
	resource.ResourceWithModifyPlan
	resource.ResourceWithImportState
	resource.ResourceWithIdentity
} = &machineResource{}

type machineIdentity struct {
	ID types.String `tfsdk:"id"`
}

func (r *machineResource) Configure(_ context.Context, req resource.ConfigureRequest, _ *resource.ConfigureResponse) {
	r.pool, _ = req.ProviderData.(*pool) // nil until the provider is configured
}

// Create takes a server and deploys it. Its ID is in the state before anything is
// waited for. An error dooms a machine: Terraform gives it back by the next apply. So
// an interrupted create is no error, and the next apply goes on with it.
func (r *machineResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var config, plan machineModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	limit, diags := plan.Timeouts.Create(ctx, createTimeout)
	resp.Diagnostics.Append(diags...)
	o, _, diags := order(ctx, config, plan)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	if err := r.pool.claims.claim(aMachine, o.Name, o.Name); err != nil {
		fault(&resp.Diagnostics, err, path.Root("name"))
		return
	}
	o.ID, o.Owner, o.DeployTimeout = core.AllocationID(core.NewID("tf")), r.pool.owner, limit
	plan.ID, plan.Owner = types.StringValue(string(o.ID)), types.StringValue(o.Owner)
	wanted := plan.PowerState
	save := func() {
		kept := plan
		kept.settle()
		resp.Diagnostics.Append(resp.State.Set(ctx, &kept)...)
		resp.Diagnostics.Append(resp.Identity.Set(ctx, machineIdentity{ID: kept.ID})...)
	}
	save()
	if resp.Diagnostics.HasError() {
		return
	}
	told := story{next: ofCreate}
	work, cancel := context.WithTimeout(ctx, o.Wait+2*limit+core.CallMargin)
	defer cancel()
	there, err := r.taking(work, o, plan.Wait, limit, func(o core.Order) (core.Machine, error) { return r.pool.Create(work, o, told.report(ctx)) })
	if err == nil {
		plan.ID = types.StringValue(string(there.ID)) // another one where a killed create is gone on with
		resp.Diagnostics.Append(plan.fill(ctx, there)...)
		// It is on: its SSH has just answered.
		if plan.PowerState = types.StringValue(powerOn); wanted.ValueString() == powerOff {
			r.power(work, &plan, there.Access, wanted, &resp.Diagnostics)
		}
		save()
		return
	}
	left, known := r.left(ctx, o.ID)
	switch {
	case known && left.State.Owned():
		plan.ID = types.StringValue(string(left.ID))
		resp.Diagnostics.Append(plan.fill(ctx, left)...)
		save()
		if ctx.Err() != nil && left.State != core.Failed {
			resp.Diagnostics.AddWarning("Machine "+left.Name+" is not ready", fmt.Sprintf("The apply was interrupted while it was %s on node %s (%s). The next apply goes on with it; destroy gives it back.", left.State, left.Node, told.phase()))
			return
		}
	case known:
		resp.State.RemoveResource(ctx) // nothing is held under this ID, and nothing ever will be
	}
	r.notTaken(work, o, err, &told, &resp.Diagnostics)
}

// taking takes a server, by take. Where the configuration does not say how long to wait
// for one, it is waited for only while one is being erased.
func (r *machineResource) taking(ctx context.Context, o core.Order, wait types.String, limit time.Duration, take func(core.Order) (core.Machine, error)) (core.Machine, error) {
	there, err := take(o)
	if core.Is(err, core.NoCapacity) && wait.IsNull() && r.erasing(ctx, o) {
		o.Wait = limit
		there, err = take(o)
	}
	return there, err
}

// notTaken says why there is no machine.
func (r *machineResource) notTaken(ctx context.Context, o core.Order, err error, told *story, diags *diag.Diagnostics) {
	if core.Is(err, core.Exists) {
		if other, lookErr := r.pool.MachineNamed(ctx, o.Owner, o.Name); lookErr == nil {
			taken(diags, err, string(other.ID))
			return
		}
	}
	orderFault(diags, err, told)
}

// erasing reports whether a server that would do is being erased: after a replacement
// it is often the only one.
func (r *machineResource) erasing(ctx context.Context, o core.Order) bool {
	candidates, err := r.pool.Match(ctx, o)
	return err == nil && slices.ContainsFunc(candidates, func(c core.Candidate) bool { return c.Passes && c.State == core.Cleaning })
}

// left looks at what an operation left behind, however that ended. An ID that the pool
// does not know has ended for us: whoever asked has been answered.
func (r *machineResource) left(ctx context.Context, id core.AllocationID) (there core.Machine, known bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	there, err := r.pool.Machine(ctx, id)
	if core.Is(err, core.NotFound) {
		return core.Machine{State: core.Released}, true
	}
	return there, err == nil
}

// power brings the power to where it is wanted, if at all, and writes down where it is: m
// has where it was last seen. A machine that is turned on is waited for until SSH answers.
func (r *machineResource) power(ctx context.Context, m *machineModel, access core.Access, wanted types.String, diags *diag.Diagnostics) {
	id := core.AllocationID(m.ID.ValueString())
	if state, err := r.pool.Power(ctx, id); err == nil && powerWord(state) != "" {
		m.PowerState = types.StringValue(powerWord(state))
	}
	if wanted.IsUnknown() || wanted.IsNull() || wanted.Equal(m.PowerState) {
		return
	}
	verb := core.TurnOn
	if wanted.ValueString() == powerOff {
		verb = core.ShutDown
	}
	err := r.pool.SetPower(ctx, id, verb)
	if err == nil && verb == core.TurnOn {
		err = core.AwaitSSH(ctx, access)
	}
	if err != nil {
		fault(diags, err, path.Root("power_state"))
		return
	}
	m.PowerState = wanted
}

// Read asks the pool, and the server's BMC for the power.
func (r *machineResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state machineModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	limit, diags := state.Timeouts.Read(ctx, readTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	resp.Diagnostics.Append(resp.Identity.Set(ctx, machineIdentity{ID: state.ID})...)
	there, ok := r.found(ctx, state, "Machine", resp)
	if !ok {
		return
	}
	resp.Diagnostics.Append(state.fill(ctx, there)...)
	if there.State == core.Deployed {
		r.look(ctx, &state, &resp.Diagnostics)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// found finds what the state has. What has ended is out of the state from then on, so that
// the plan takes a server anew.
func (r *machineResource) found(ctx context.Context, state machineModel, what string, resp *resource.ReadResponse) (there core.Machine, ok bool) {
	there, err := r.pool.Machine(ctx, core.AllocationID(state.ID.ValueString()))
	switch {
	case core.Is(err, core.NotFound) && state.Node.IsNull():
		resp.State.RemoveResource(ctx) // its create never got to take a server
	case core.Is(err, core.NotFound):
		fault(&resp.Diagnostics, r.pool.stranger(state), path.Empty())
	case err != nil:
		fault(&resp.Diagnostics, err, path.Empty())
	case there.State.Ended():
		resp.Diagnostics.AddWarning(what+" "+there.Name+" has ended", ended(there)+" Terraform did not do that; a plan takes a server anew.")
		resp.State.RemoveResource(ctx)
	default:
		return there, true
	}
	return there, false
}

// ended tells how and when.
func ended(there core.Machine) string {
	return fmt.Sprintf("It is %s since %s: %s.", there.State, there.EndedAt.UTC().Format(time.RFC3339), there.Reason)
}

// stranger says that the pool is not the one in which a machine was made. To take it
// for released would lose a server.
func (p *pool) stranger(m machineModel) error {
	if p.served {
		return &core.Error{
			Op: "find machine", Allocation: m.Name.ValueString(), Kind: core.NotFound,
			Err:  fmt.Errorf("the server knows of no %s that is %s's, whose token this is", m.ID.ValueString(), p.owner),
			Hint: "see the provider's token and " + envToken + ", and its url and " + envURL + ": the machine was made with another owner's token, or in another pool",
		}
	}
	return &core.Error{
		Op: "find machine", Allocation: m.Name.ValueString(), Kind: core.NotFound,
		Err:  fmt.Errorf("this pool has never had %s, and a pool forgets none: it is not the pool in which the machine was made", m.ID.ValueString()),
		Hint: "see the provider's url and " + envURL + "; if that pool is lost for good, 'terraform state rm' forgets the machine",
	}
}

// look writes down whether the power is on. A BMC that is silent now is no reason to
// plan nothing at all.
func (r *machineResource) look(ctx context.Context, m *machineModel, diags *diag.Diagnostics) {
	power, err := r.pool.Power(ctx, core.AllocationID(m.ID.ValueString()))
	if err != nil {
		summary, detail := explain(err, nil)
		diags.AddAttributeWarning(path.Root("power_state"), summary, detail+"\n\nThe power is taken to be as it was.")
		return
	}
	if word := powerWord(power); word != "" {
		m.PowerState = types.StringValue(word)
	}
}

// Update changes what can be changed in place, and deploys anew where the plan said so.
func (r *machineResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var config, plan, state machineModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	limit, diags := plan.Timeouts.Update(ctx, updateTimeout)
	resp.Diagnostics.Append(diags...)
	o, _, diags := order(ctx, config, plan)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	o.ID, o.Owner, o.DeployTimeout = core.AllocationID(state.ID.ValueString()), state.Owner.ValueString(), limit
	ctx, cancel := context.WithTimeout(ctx, limit+core.CallMargin)
	defer cancel()

	there, err := r.change(ctx, o, plan, state)
	if err != nil {
		resp.Diagnostics.Append(resp.Identity.Set(ctx, machineIdentity{ID: state.ID})...)
		orderFault(&resp.Diagnostics, err, nil)
		return
	}
	var told story
	if plan.deploys() || there.State != core.Deployed {
		there, err = r.deploy(ctx, o, there, told.report(ctx))
	}
	if err != nil {
		left, known := r.left(ctx, o.ID)
		if known && left.State == core.Deployed {
			plan.keepDeployed(state) // it was not touched
		}
		if known {
			resp.Diagnostics.Append(plan.fill(ctx, left)...)
		}
		plan.settle()
		orderFault(&resp.Diagnostics, err, &told)
	} else {
		r.bring(ctx, &plan, there, o.Keys, state.PowerState, config.PowerState, &resp.Diagnostics)
		plan.settle()
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, machineIdentity{ID: state.ID})...)
	resp.Diagnostics.Append(resp.Private.SetKey(ctx, importedKey, []byte("false"))...)
}

// bring changes who may log in to a machine that is deployed, while it runs, and its power,
// where that is configured. Where it is not, and nothing was deployed, the power stays as
// it was told in the plan: the next refresh looks.
func (r *machineResource) bring(ctx context.Context, m *machineModel, there core.Machine, keys []string, was, power types.String, diags *diag.Diagnostics) {
	turn := func() {
		if power.IsNull() && !m.PowerState.IsUnknown() {
			return
		}
		if m.PowerState = was; m.deploys() {
			m.PowerState = types.StringValue(powerOn)
		}
		r.power(ctx, m, there.Access, power, diags)
	}
	if power.ValueString() != powerOff {
		turn()
	}
	if !sameLines(texts(there.Keys), texts(keys)) && !diags.HasError() {
		if changed, err := r.pool.Change(ctx, there.ID, core.MachineChange{Keys: keys}); err != nil {
			orderFault(diags, err, nil)
		} else {
			there = changed
		}
	}
	if power.ValueString() == powerOff {
		turn()
	}
	diags.Append(m.fill(ctx, there)...)
}

// keepDeployed takes what was deployed from the state before.
func (m *machineModel) keepDeployed(state machineModel) {
	m.Image, m.Profile, m.Hostname, m.SSHUser, m.SSHPort, m.SSHKeys = state.Image, state.Profile, state.Hostname, state.SSHUser, state.SSHPort, state.SSHKeys
	m.UserData, m.UserDataWOVersion, m.PostDeployVersion, m.PowerState = state.UserData, state.UserDataWOVersion, state.PostDeployVersion, state.PowerState
}

// change brings the pool's notes on a machine to where they are planned: its name, its
// labels, how long it is kept, and what its node is asked to have.
func (r *machineResource) change(ctx context.Context, o core.Order, plan, state machineModel) (core.Machine, error) {
	before, diags := labelsOf(ctx, state.Labels)
	if diags.HasError() {
		return core.Machine{}, errors.New(diags.Errors()[0].Detail())
	}
	asked, kept := !state.Requirements.Equal(plan.Requirements), !state.TTL.Equal(plan.TTL)
	if state.Name.Equal(plan.Name) && maps.Equal(before, o.Labels) && !asked && !kept {
		return r.pool.Machine(ctx, o.ID)
	}
	change := core.MachineChange{Name: &o.Name, Labels: labelChange(before, o.Labels)}
	if asked {
		change.Request = &o.Request
	}
	if kept {
		change.TTL = &o.TTL
	}
	return r.pool.Change(ctx, o.ID, change)
}

// deploy brings a machine to Deployed. One that never got there is gone on with as it
// was created, so that another server may take the place of one that fails.
func (r *machineResource) deploy(ctx context.Context, o core.Order, there core.Machine, report core.Reporter) (core.Machine, error) {
	if there.State != core.Deployed {
		m, err := r.pool.Create(ctx, o, report)
		if !core.Is(err, core.Exists) {
			return m, err
		}
	}
	return r.pool.Deploy(ctx, o, report)
}

// Delete gives the server back, whatever state it is in.
func (r *machineResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state machineModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if !resp.Diagnostics.HasError() {
		r.giveBack(ctx, state, &resp.Diagnostics)
	}
}

// giveBack releases what the state has, unless it is protected or of another pool.
func (r *machineResource) giveBack(ctx context.Context, state machineModel, diags *diag.Diagnostics) {
	usual := core.ReleasePatience
	if state.WaitClean.ValueBool() {
		usual = core.CleanPatience
	}
	limit, d := state.Timeouts.Delete(ctx, usual)
	diags.Append(d...)
	if diags.HasError() {
		return
	}
	if r.protected(ctx, state) {
		diags.Append(protection(state, "destroy"))
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	id := core.AllocationID(state.ID.ValueString())
	if _, err := r.pool.Machine(ctx, id); core.Is(err, core.NotFound) && !state.Node.IsNull() {
		fault(diags, r.pool.stranger(state), path.Empty())
		return
	}
	var told story
	err := r.pool.Release(ctx, id, core.ReleaseOptions{WaitClean: state.WaitClean.ValueBool(), Reason: "terraform destroy"}, told.report(ctx))
	if err != nil {
		orderFault(diags, err, &told)
	}
}

// protected reports whether the machine may not be given up. One that never was
// deployed holds nothing that is worth it; one whose redeploy failed may.
func (r *machineResource) protected(ctx context.Context, m machineModel) bool {
	switch {
	case !m.DeletionProtection.ValueBool():
		return false
	case m.State.ValueString() == string(core.Deployed):
		return true
	case r.pool == nil || m.ID.IsNull():
		return false
	}
	there, err := r.pool.Machine(ctx, core.AllocationID(m.ID.ValueString()))
	return err == nil && there.Settled
}

func protection(m machineModel, what string) diag.Diagnostic {
	return diag.NewAttributeErrorDiagnostic(path.Root("deletion_protection"), "Machine "+m.Name.ValueString()+" is protected",
		"To "+what+" would give node "+m.Node.ValueString()+" back and erase its disks.\n\nWhat to do: set deletion_protection = false, apply that, and then ask again.")
}
