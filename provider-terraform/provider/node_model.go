package provider

import (
	"context"
	"net/netip"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/metalpool/metalpool/core"
)

// enrollment is what the model asks for; config has the password.
func (m inventoryModel) enrollment(ctx context.Context, config inventoryModel) (core.Enrollment, diag.Diagnostics) {
	in := core.Enrollment{
		ID: core.NodeID(m.Name.ValueString()), Pool: m.Pool.ValueString(),
		URL: m.BMCURL.ValueString(), User: m.BMCUser.ValueString(), Password: config.BMCPasswordWO.ValueString(),
		CA: m.BMCCA.ValueString(), Fingerprint: m.BMCFingerprint.ValueString(), Insecure: m.BMCInsecure.ValueBool(), ConsoleKey: m.ConsoleKey.ValueString(),
		Address: m.Address.ValueString(), SSHPort: int(m.SSHPort.ValueInt64()), DockerPort: int(m.DockerPort.ValueInt64()), Advertise: m.Advertise.ValueString(),
		Boot: core.BootMode(m.Boot.ValueString()), Erase: m.Erase.ValueBool(), TakeOver: m.TakeOver.ValueBool(),
	}
	labels, diags := labelsOf(ctx, m.Labels)
	in.Labels = labels
	network, d := m.network(ctx)
	diags.Append(d...)
	in.Network = network
	return in, diags
}

// network is nil for DHCP on every port.
func (m inventoryModel) network(ctx context.Context) (*core.Network, diag.Diagnostics) {
	if m.Network.IsNull() {
		return nil, nil
	}
	var asked networkModel
	diags := m.Network.As(ctx, &asked, basetypes.ObjectAsOptions{})
	// The schema has refused what cannot be read.
	n := core.Network{Ports: asked.Ports, Bond: asked.Bond.ValueString(), VLAN: int(asked.VLAN.ValueInt64()), MTU: int(asked.MTU.ValueInt64())}
	n.Address, _ = prefixed.read(asked.Address.ValueString())
	n.Gateway, _ = alone.read(asked.Gateway.ValueString())
	for _, text := range asked.DNS {
		if server, err := alone.read(text); err == nil {
			n.DNS = append(n.DNS, server)
		}
	}
	return &n, diags
}

// change is what is to be declared anew: what is as it was stays out of it, since some
// of it is refused while the server is at work.
func (m inventoryModel) change(ctx context.Context, config, state inventoryModel) (core.NodeChange, diag.Diagnostics) {
	text := func(planned, there types.String) *string {
		if planned.Equal(there) || planned.IsUnknown() {
			return nil
		}
		value := planned.ValueString()
		return &value
	}
	port := func(planned, there types.Int64) *int {
		if planned.Equal(there) {
			return nil
		}
		value := int(planned.ValueInt64())
		return &value
	}
	c := core.NodeChange{
		Pool: text(m.Pool, state.Pool), URL: text(m.BMCURL, state.BMCURL), User: text(m.BMCUser, state.BMCUser), ConsoleKey: text(m.ConsoleKey, state.ConsoleKey),
		Address: text(m.Address, state.Address), Advertise: text(m.Advertise, state.Advertise),
		SSHPort: port(m.SSHPort, state.SSHPort), DockerPort: port(m.DockerPort, state.DockerPort),
	}
	if !m.BMCFingerprint.Equal(state.BMCFingerprint) || !m.BMCCA.Equal(state.BMCCA) || m.BMCInsecure.ValueBool() != state.BMCInsecure.ValueBool() {
		fingerprint, ca, insecure := m.BMCFingerprint.ValueString(), m.BMCCA.ValueString(), m.BMCInsecure.ValueBool()
		c.Fingerprint, c.CA, c.Insecure = &fingerprint, &ca, &insecure
	}
	if !m.BMCPasswordWOVersion.Equal(state.BMCPasswordWOVersion) {
		password := config.BMCPasswordWO.ValueString()
		c.Password = &password
	}
	if boot := text(m.Boot, state.Boot); boot != nil {
		mode := core.BootMode(*boot)
		c.Boot = &mode
	}
	before, diags := labelsOf(ctx, state.Labels)
	after, d := labelsOf(ctx, m.Labels)
	diags.Append(d...)
	c.Labels = labelChange(before, after)
	if !m.Network.Equal(state.Network) {
		c.Network, d = m.network(ctx)
		diags.Append(d...)
		if c.Network == nil {
			c.Network = &core.Network{}
		}
	}
	return c, diags
}

// fill writes down what the inventory says of a node.
func (m *inventoryModel) fill(ctx context.Context, n core.Node) diag.Diagnostics {
	var diags diag.Diagnostics
	s, h := n.Spec, n.Hardware
	m.ID, m.Name, m.Pool = types.StringValue(string(n.ID)), types.StringValue(string(n.ID)), types.StringValue(n.Pool)
	m.BMCURL, m.BMCUser, m.BMCPasswordWO = types.StringValue(s.BMC.URL), types.StringValue(s.BMC.User), types.StringNull()
	m.BMCFingerprint, m.BMCCA = textOf(s.BMC.TLS.Fingerprint), textOf(s.BMC.TLS.CA)
	if s.BMC.TLS.Insecure != m.BMCInsecure.ValueBool() {
		m.BMCInsecure = types.BoolValue(s.BMC.TLS.Insecure)
	}
	m.ConsoleKey, m.Boot = textOf(s.BMC.ConsoleKey), textOf(string(s.Boot))
	m.Address, m.Advertise, m.SSHPort, m.DockerPort = textOf(s.Address), textOf(s.Advertise), numberOf(s.SSHPort), numberOf(s.DockerPort)
	if len(s.Labels) > 0 || len(m.Labels.Elements()) > 0 {
		labels, d := types.MapValueFrom(ctx, textType, s.Labels)
		diags.Append(d...)
		m.Labels = labels
	}
	diags.Append(m.fillNetwork(ctx, s.Network)...)
	m.State, m.Reason, m.Serial = types.StringValue(string(n.State)), textOf(n.Reason), textOf(s.Identity.Serial)
	m.Manufacturer, m.Model, m.Arch = textOf(h.Manufacturer), textOf(h.Model), textOf(h.Arch)
	m.CPUs, m.Memory = numberOf(h.CPUs), numberOf(int(h.Memory))
	return diags
}

func (m *inventoryModel) fillNetwork(ctx context.Context, n *core.Network) diag.Diagnostics {
	if n == nil {
		m.Network = types.ObjectNull(networkTypes())
		return nil
	}
	list := func(texts []string) types.List {
		if len(texts) == 0 {
			return types.ListNull(textType)
		}
		v, _ := types.ListValueFrom(ctx, textType, texts)
		return v
	}
	address, gateway := "", ""
	if n.Address.IsValid() {
		address = n.Address.String()
	}
	if n.Gateway.IsValid() {
		gateway = n.Gateway.String()
	}
	written := m.Network.Attributes()
	addressThere, _ := written["address"].(types.String)
	gatewayThere, _ := written["gateway"].(types.String)
	dns, is := written["dns"].(types.List)
	if !is || !sameAddresses(dns, n.DNS) {
		dns = list(addresses(n.DNS))
	}
	var diags diag.Diagnostics
	m.Network, diags = types.ObjectValue(networkTypes(), map[string]attr.Value{
		"ports": list(n.Ports), "bond": textOf(n.Bond), "vlan": numberOf(n.VLAN), "mtu": numberOf(n.MTU),
		"address": sameText(addressThere, address, prefixed.read),
		"gateway": sameText(gatewayThere, gateway, alone.read),
		"dns":     dns,
	})
	return diags
}

func addresses(list []netip.Addr) []string {
	var texts []string
	for _, a := range list {
		texts = append(texts, a.String())
	}
	return texts
}

// sameAddresses reports whether a list is of these addresses, however they are written.
func sameAddresses(written types.List, there []netip.Addr) bool {
	if len(written.Elements()) != len(there) {
		return false
	}
	for i, v := range written.Elements() {
		text, is := v.(types.String)
		if a, err := alone.read(text.ValueString()); !is || err != nil || a != there[i] {
			return false
		}
	}
	return true
}
