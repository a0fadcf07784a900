package provider

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/metalpool/metalpool/core"
)

// machineModel is a metalpool_machine in configuration, plan and state.
type machineModel struct {
	serverModel
	systemModel

	AllowRedeploy types.Set `tfsdk:"allow_redeploy"`
}

// The words for a server's power.
const (
	powerOn  = "on"
	powerOff = "off"
)

// powerWord is "" where the BMC does not say, or where the power is about to change.
func powerWord(s core.PowerState) string {
	switch s {
	case core.PowerOn:
		return powerOn
	case core.PowerOff:
		return powerOff
	}
	return ""
}

// order is what a configuration asks for. What the configuration leaves out is left to
// the pool, and not taken from the state: a user that an earlier image had is nothing to
// ask the next one for. The host name is the state's, since by default it is the name of
// when the machine was created. Where planned still has unknown values, the
// order is not whole, and the second result is false.
func order(ctx context.Context, config, planned machineModel) (core.Order, bool, diag.Diagnostics) {
	o := core.Order{
		Owner: planned.Owner.ValueString(), Name: planned.Name.ValueString(),
		Image: config.Image.ValueString(), Profile: config.Profile.ValueString(), Hostname: planned.Hostname.ValueString(),
		SSHUser: config.SSHUser.ValueString(), SSHPort: int(config.SSHPort.ValueInt64()),
	}
	for _, v := range []interface{ IsUnknown() bool }{config.Name, config.Pool, config.Node, config.Arch, config.Image, config.Profile, config.Hostname, config.SSHUser, config.SSHPort, config.UserData, config.UserDataWO, config.UserDataWOVersion, config.PostDeploy, config.PostDeployVersion, config.Wait, config.WaitFor} {
		if v.IsUnknown() {
			return o, false, nil
		}
	}
	if !known(ctx, planned.Requirements) || !known(ctx, planned.SSHKeys) || !known(ctx, planned.Labels) {
		return o, false, nil
	}
	r, diags := request(ctx, planned.Requirements)
	// A machine that is there keeps its pool and architecture, also where an import
	// brought it and the configuration names none; it is pinned to its node by the
	// configuration alone.
	r.Pool, r.Node = planned.Pool.ValueString(), core.NodeID(config.Node.ValueString())
	r.Arch, _ = core.ParseArch(planned.Arch.ValueString())
	o.Request = r
	if o.Hostname == "" {
		o.Hostname = o.Name
	}
	diags.Append(planned.SSHKeys.ElementsAs(ctx, &o.Keys, false)...)
	for i, key := range o.Keys {
		o.Keys[i] = strings.TrimSpace(key) // file("id.pub") ends its line
	}
	o.WaitFor = waits[config.WaitFor.ValueString()]
	labels, d := labelsOf(ctx, planned.Labels)
	diags.Append(d...)
	o.Labels = labels
	o.UserData = []byte(config.UserData.ValueString() + config.UserDataWO.ValueString()) // one of them at most
	if !config.UserDataWOVersion.IsNull() {
		o.Revision = strconv.FormatInt(config.UserDataWOVersion.ValueInt64(), 10)
	}
	o.PostDeploy = []byte(config.PostDeploy.ValueString())
	if !config.PostDeployVersion.IsNull() {
		o.Revision += "/post_deploy " + strconv.FormatInt(config.PostDeployVersion.ValueInt64(), 10)
	}
	o.Wait, _ = core.ParseDuration("wait", config.Wait.ValueString()) // the schema has refused what cannot be read
	o.TTL, _ = core.ParseDuration("ttl", config.TTL.ValueString())
	return o, true, diags
}

func labelsOf(ctx context.Context, m types.Map) (map[string]string, diag.Diagnostics) {
	labels := map[string]string{}
	if m.IsNull() || m.IsUnknown() {
		return nil, nil
	}
	return labels, m.ElementsAs(ctx, &labels, false)
}

// labelChange leads from some labels to others.
func labelChange(before, after map[string]string) map[string]*string {
	change := map[string]*string{}
	for key := range before {
		change[key] = nil
	}
	for key, value := range after {
		change[key] = &value
	}
	return change
}

// fill writes down what the pool says of a machine. What nobody but the owner's
// configuration knows stays as it is.
func (m *machineModel) fill(ctx context.Context, there core.Machine) diag.Diagnostics {
	var diags diag.Diagnostics
	if m.ID.IsNull() { // an ID may stand for another one's machine, and never changes
		m.ID = types.StringValue(string(there.ID))
	}
	m.Owner, m.Name = types.StringValue(there.Owner), types.StringValue(there.Name)
	m.State, m.Pool, m.Node = types.StringValue(string(there.State)), types.StringValue(there.Pool), textOf(string(there.Node))
	m.CreatedAt = types.StringValue(there.CreatedAt.UTC().Format(time.RFC3339))
	m.Arch = sameText(m.Arch, there.Request.Arch, arch.read)
	m.Image, m.Profile, m.Hostname = textOf(there.Image), textOf(there.Profile), textOf(there.Hostname)
	m.Address, m.DockerPort = textOf(there.Access.Address), numberOf(there.Access.DockerPort)
	if there.Access.SSHUser != "" {
		m.SSHUser, m.SSHPort = types.StringValue(there.Access.SSHUser), numberOf(there.Access.SSHPort)
	}
	m.SSHHostKeys, m.SSHHostKey, m.SSHKnownHosts = types.ListNull(textType), types.StringNull(), types.StringNull()
	if len(there.Access.HostKeys) > 0 {
		m.SSHHostKeys, m.SSHHostKey = texts(there.Access.HostKeys), types.StringValue(hostKey(there.Access.HostKeys))
		m.SSHKnownHosts = types.StringValue(knownHosts(there.Access))
	}
	m.Managed = types.BoolValue(there.Managed)
	if keys := texts(there.Keys); len(there.Keys) > 0 && !sameLines(m.SSHKeys, keys) {
		m.SSHKeys = keys
	}
	if len(there.Labels) > 0 || len(m.Labels.Elements()) > 0 {
		labels, d := types.MapValueFrom(ctx, textType, there.Labels)
		diags.Append(d...)
		m.Labels = labels
	}
	return diags
}

// settle makes null what is still unknown, since no answer to Terraform may be.
func (m *machineModel) settle() {
	for _, v := range []*types.String{&m.ID, &m.Owner, &m.State, &m.CreatedAt, &m.Address, &m.SSHHostKey, &m.SSHKnownHosts, &m.Pool, &m.Node, &m.Arch, &m.Image, &m.Profile, &m.Hostname, &m.SSHUser, &m.PowerState} {
		if v.IsUnknown() {
			*v = types.StringNull()
		}
	}
	for _, v := range []*types.Int64{&m.DockerPort, &m.SSHPort} {
		if v.IsUnknown() {
			*v = types.Int64Null()
		}
	}
	if m.Managed.IsUnknown() {
		m.Managed = types.BoolNull()
	}
	if m.SSHHostKeys.IsUnknown() {
		m.SSHHostKeys = types.ListNull(textType)
	}
	m.UserDataWO, m.PostDeploy = types.StringNull(), types.StringNull()
}

// sameText keeps the way in which something was written that is the same.
func sameText[T comparable](written types.String, there string, read func(string) (T, error)) types.String {
	if a, err := read(written.ValueString()); err == nil && !written.IsNull() && !written.IsUnknown() {
		if b, err := read(there); err == nil && a == b {
			return written
		}
	}
	return textOf(there)
}

// hostKey is the key that Go's SSH client, which Terraform has, asks a server for that
// has several: ECDSA comes first. One that it does not ask for is a mismatch to it.
func hostKey(keys []string) string {
	for _, k := range keys {
		if strings.HasPrefix(k, ssh.KeyAlgoECDSA256+" ") {
			return k
		}
	}
	return keys[0]
}

// knownHosts writes lines of a known_hosts file.
func knownHosts(a core.Access) string {
	var b strings.Builder
	host := knownhosts.Normalize(net.JoinHostPort(a.Address, strconv.Itoa(a.SSHPort)))
	for _, key := range a.HostKeys {
		b.WriteString(host + " " + strings.TrimSpace(key) + "\n")
	}
	return b.String()
}
