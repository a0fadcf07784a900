package api

import (
	"time"

	"github.com/metalpool/metalpool/core"
)

// Order is core.Order but for its ID, which is in the path, and its owner, whom the
// token names.
type Order struct {
	Name           string            `json:"name,omitempty" doc:"Of the machine; unique among the owner's."`
	Request        core.Request      `json:"request,omitzero"`
	Image          string            `json:"image,omitempty" doc:"Default: the pool's."`
	Hostname       string            `json:"hostname,omitempty" doc:"Default: the name."`
	SSHUser        string            `json:"ssh_user,omitempty" doc:"Default: the image's login user."`
	SSHPort        int               `json:"ssh_port,omitempty" doc:"Default: the node's."`
	Keys           []string          `json:"keys,omitempty" doc:"Public keys that may log in, authorized_keys format."`
	UserData       []byte            `json:"user_data,omitempty" doc:"A secret: it is sealed in the store, and never told again."`
	PostDeploy     []byte            `json:"post_deploy,omitempty" doc:"A script of the user's own, run as root once all else is done. Kept as user data is."`
	WaitFor        core.WaitFor      `json:"wait_for,omitempty" doc:"ssh or cloud-init."`
	Profile        string            `json:"profile,omitempty" doc:"The choice of the operator's steps; default: the pool's."`
	Labels         map[string]string `json:"labels,omitempty"`
	Revision       string            `json:"revision,omitempty"`
	Afresh         bool              `json:"afresh,omitempty"`
	Wait           Duration          `json:"wait,omitzero" doc:"How long to queue while no node is free, such as 30m."`
	AcquireTimeout Duration          `json:"acquire_timeout,omitzero"`
	DeployTimeout  Duration          `json:"deploy_timeout,omitzero"`
	TTL            Duration          `json:"ttl,omitzero" doc:"How long the machine is kept once it has a node; then it is released. Default: until somebody releases it."`
	// AllocateOnly takes a node and deploys nothing.
	AllocateOnly bool `json:"allocate_only,omitempty" doc:"Take a node, and leave its hardware as it is."`
}

// NewOrder is the order as it is sent.
func NewOrder(o core.Order) Order {
	return Order{
		Name: o.Name, Request: o.Request, Image: o.Image, Hostname: o.Hostname, SSHUser: o.SSHUser, SSHPort: o.SSHPort, Keys: o.Keys,
		UserData: o.UserData, PostDeploy: o.PostDeploy, WaitFor: o.WaitFor, Profile: o.Profile, Labels: o.Labels, Revision: o.Revision, Afresh: o.Afresh,
		Wait: Duration(o.Wait), AcquireTimeout: Duration(o.AcquireTimeout), DeployTimeout: Duration(o.DeployTimeout), TTL: Duration(o.TTL),
	}
}

// Core is the order as the engine takes it.
func (o Order) Core(id core.AllocationID, owner string) core.Order {
	return core.Order{
		ID: id, Owner: owner,
		Name: o.Name, Request: o.Request, Image: o.Image, Hostname: o.Hostname, SSHUser: o.SSHUser, SSHPort: o.SSHPort, Keys: o.Keys,
		UserData: o.UserData, PostDeploy: o.PostDeploy, WaitFor: o.WaitFor, Profile: o.Profile, Labels: o.Labels, Revision: o.Revision, Afresh: o.Afresh,
		Wait: time.Duration(o.Wait), AcquireTimeout: time.Duration(o.AcquireTimeout), DeployTimeout: time.Duration(o.DeployTimeout), TTL: time.Duration(o.TTL),
	}
}

// Question is an order that is only asked about.
type Question struct {
	ID    core.AllocationID `json:"id,omitempty"`
	Order Order             `json:"order"`
}

// MachineChange is core.MachineChange.
type MachineChange struct {
	Name         *string           `json:"name,omitempty"`
	Labels       map[string]string `json:"labels,omitempty" doc:"To be set."`
	RemoveLabels []string          `json:"remove_labels,omitempty"`
	Labelled     map[string]string `json:"labelled,omitempty" doc:"What it has to have now, or nothing is changed; empty for a label that it has not."`
	Keys         []string          `json:"keys,omitzero" doc:"Replace those that may log in."`
	Request      *core.Request     `json:"request,omitempty"`
	TTL          *Duration         `json:"ttl,omitempty" doc:"How long it is kept from now on; 0s is until somebody releases it."`
}

// NewMachineChange is the change as it is sent.
func NewMachineChange(c core.MachineChange) MachineChange {
	set, remove := apart(c.Labels)
	return MachineChange{Name: c.Name, Labels: set, RemoveLabels: remove, Labelled: c.Labelled, Keys: c.Keys, Request: c.Request, TTL: (*Duration)(c.TTL)}
}

// Core is the change as the engine takes it.
func (c MachineChange) Core() core.MachineChange {
	return core.MachineChange{Name: c.Name, Labels: together(c.Labels, c.RemoveLabels), Labelled: c.Labelled, Keys: c.Keys, Request: c.Request, TTL: (*time.Duration)(c.TTL)}
}

// PowerAsked is what to do to a machine's power.
type PowerAsked struct {
	Verb core.PowerVerb `json:"verb" enum:"on,off,shutdown,restart"`
}

// Power is what a BMC says.
type Power struct {
	State core.PowerState `json:"state"`
}

// apart tells labels that are set from those that are removed.
func apart(labels map[string]*string) (set map[string]string, remove []string) {
	for key, value := range labels {
		if value == nil {
			remove = append(remove, key)
			continue
		}
		if set == nil {
			set = map[string]string{}
		}
		set[key] = *value
	}
	return set, remove
}

func together(set map[string]string, remove []string) map[string]*string {
	if len(set)+len(remove) == 0 {
		return nil
	}
	labels := map[string]*string{}
	for key, value := range set {
		labels[key] = &value
	}
	for _, key := range remove {
		labels[key] = nil
	}
	return labels
}
