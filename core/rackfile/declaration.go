package rackfile

import (
	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core"
)

// declaration is what a file says, by whom. Of a node only what is written there is said,
// also where that is empty.
func (f File) declaration(by core.Declarer, tree *yaml.Node) core.Declaration {
	d := core.Declaration{By: by, Images: f.Images, Steps: f.Steps, Profiles: f.Profiles, Pools: f.Pools}
	written := items(tree, "nodes")
	for i, n := range f.Nodes {
		d.Nodes = append(d.Nodes, n.declaration(written[i]))
	}
	return d
}

func (n Node) declaration(written *yaml.Node) core.NodeDeclaration {
	e := n.Enrollment()
	d := core.NodeDeclaration{ID: e.ID, URL: e.URL}
	if e.Pool == "" {
		e.Pool = core.DefaultPool
	}
	say(&d.Pool, e.Pool, written, "pool")
	say(&d.Address, e.Address, written, "address")
	say(&d.SSHPort, e.SSHPort, written, "ssh_port")
	say(&d.DockerPort, e.DockerPort, written, "docker_port")
	say(&d.Advertise, e.Advertise, written, "advertise")
	say(&d.Agent, e.Agent, written, "agent")
	say(&d.Boot, e.Boot, written, "boot")
	bmc := under(written, "bmc")
	say(&d.User, e.User, bmc, "user")
	say(&d.Fingerprint, e.Fingerprint, bmc, "fingerprint")
	say(&d.CA, e.CA, bmc, "ca")
	say(&d.Insecure, e.Insecure, bmc, "insecure")
	say(&d.ConsoleKey, e.ConsoleKey, bmc, "console_key")
	if e.Password != "" {
		d.Password = &e.Password
	}
	if under(written, "labels") != nil {
		if d.Labels = e.Labels; d.Labels == nil {
			d.Labels = map[string]string{}
		}
	}
	if under(written, "network") != nil {
		if d.Network = e.Network; d.Network == nil {
			d.Network = &core.Network{}
		}
	}
	return d
}

// say puts a value where it is written.
func say[T any](to **T, value T, written *yaml.Node, key string) {
	if under(written, key) != nil {
		*to = &value
	}
}

// under is what a mapping has under a key; nil where there is none.
func under(mapping *yaml.Node, key string) *yaml.Node {
	_, value := entry(mapping, key)
	return value
}

// entry is a key of a mapping, and what is under it; nil where there is none.
func entry(mapping *yaml.Node, name string) (key, value *yaml.Node) {
	if mapping != nil && mapping.Kind == yaml.AliasNode {
		mapping = mapping.Alias
	}
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

// items are those of a list at the top of a document.
func items(tree *yaml.Node, key string) []*yaml.Node {
	if tree.Kind != yaml.DocumentNode || len(tree.Content) == 0 {
		return nil
	}
	list := under(tree.Content[0], key)
	switch {
	case list == nil:
		return nil
	case list.Kind == yaml.AliasNode:
		return list.Alias.Content
	}
	return list.Content
}

// Export is a node as a file declares it, without its password: where that is found, it
// says.
func Export(n core.Node) Node {
	d := n.Declaration()
	f := Node{
		ID: d.ID, Pool: value(d.Pool), Labels: d.Labels, Address: value(d.Address), SSHPort: value(d.SSHPort), DockerPort: value(d.DockerPort),
		Advertise: value(d.Advertise), Agent: AgentRoute(value(d.Agent)), Boot: value(d.Boot),
		BMC: BMC{
			URL: d.URL, User: value(d.User), Password: value(d.Password), CA: value(d.CA), Fingerprint: value(d.Fingerprint),
			Insecure: value(d.Insecure), ConsoleKey: value(d.ConsoleKey),
		},
	}
	if w := d.Network; w != nil {
		f.Network = &Network{Ports: w.Ports, Bond: w.Bond, VLAN: w.VLAN, MTU: w.MTU}
		if w.Address.IsValid() {
			f.Network.Address = w.Address.String()
		}
		if w.Gateway.IsValid() {
			f.Network.Gateway = w.Gateway.String()
		}
		for _, server := range w.DNS {
			f.Network.DNS = append(f.Network.DNS, server.String())
		}
	}
	return f
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
