package api

import "github.com/metalpool/metalpool/core"

// Enrollment is core.Enrollment.
type Enrollment struct {
	ID          core.NodeID       `json:"id,omitempty" doc:"Default: made from the serial."`
	Pool        string            `json:"pool,omitempty"`
	URL         string            `json:"url" doc:"Of the BMC."`
	User        string            `json:"user,omitempty"`
	Password    string            `json:"password,omitempty" doc:"A secret: it is sealed in the store, and never told again."`
	CA          string            `json:"ca,omitempty"`
	Fingerprint string            `json:"fingerprint,omitempty"`
	Insecure    bool              `json:"insecure,omitempty"`
	ConsoleKey  string            `json:"console_key,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Address     string            `json:"address,omitempty"`
	SSHPort     int               `json:"ssh_port,omitempty"`
	DockerPort  int               `json:"docker_port,omitempty"`
	Advertise   string            `json:"advertise,omitempty"`
	Agent       core.AgentRoute   `json:"agent,omitzero"`
	Network     *core.Network     `json:"network,omitempty"`
	Boot        core.BootMode     `json:"boot,omitempty"`
	Erase       bool              `json:"erase,omitempty" doc:"Put it to use: erase all its disks now."`
	TakeOver    bool              `json:"take_over,omitempty"`
	By          core.Declarer     `json:"by,omitempty" maxLength:"1024" doc:"Who declares it; nobody else changes it unless told."`
}

// NodeChange is core.NodeChange.
type NodeChange struct {
	Pool         *string           `json:"pool,omitempty"`
	Labels       map[string]string `json:"labels,omitempty" doc:"To be set."`
	RemoveLabels []string          `json:"remove_labels,omitempty"`
	URL          *string           `json:"url,omitempty"`
	User         *string           `json:"user,omitempty"`
	Password     *string           `json:"password,omitempty" doc:"A secret."`
	Fingerprint  *string           `json:"fingerprint,omitempty"`
	CA           *string           `json:"ca,omitempty"`
	ConsoleKey   *string           `json:"console_key,omitempty"`
	Insecure     *bool             `json:"insecure,omitempty"`
	Address      *string           `json:"address,omitempty"`
	SSHPort      *int              `json:"ssh_port,omitempty"`
	DockerPort   *int              `json:"docker_port,omitempty"`
	Advertise    *string           `json:"advertise,omitempty"`
	Agent        *core.AgentRoute  `json:"agent,omitempty"`
	Network      *core.Network     `json:"network,omitempty"`
	Boot         *core.BootMode    `json:"boot,omitempty"`
	By           core.Declarer     `json:"by,omitempty" maxLength:"1024" doc:"Who changes it. What somebody else has declared is refused."`
}

// NewNodeChange is the change as it is sent.
func NewNodeChange(c core.NodeChange) NodeChange {
	set, remove := apart(c.Labels)
	return NodeChange{
		Labels: set, RemoveLabels: remove,
		Pool: c.Pool, URL: c.URL, User: c.User, Password: c.Password, Fingerprint: c.Fingerprint, CA: c.CA, ConsoleKey: c.ConsoleKey, Insecure: c.Insecure,
		Address: c.Address, SSHPort: c.SSHPort, DockerPort: c.DockerPort, Advertise: c.Advertise, Agent: c.Agent, Network: c.Network, Boot: c.Boot, By: c.By,
	}
}

// Core is the change as the engine takes it.
func (c NodeChange) Core() core.NodeChange {
	return core.NodeChange{
		Labels: together(c.Labels, c.RemoveLabels),
		Pool:   c.Pool, URL: c.URL, User: c.User, Password: c.Password, Fingerprint: c.Fingerprint, CA: c.CA, ConsoleKey: c.ConsoleKey, Insecure: c.Insecure,
		Address: c.Address, SSHPort: c.SSHPort, DockerPort: c.DockerPort, Advertise: c.Advertise, Agent: c.Agent, Network: c.Network, Boot: c.Boot, By: c.By,
	}
}

// ImageAdded is what of a core.Image its operator says.
type ImageAdded struct {
	Source string        `json:"source" doc:"A path of the server's host, below the folder that it takes images from, or an https URL."`
	SHA256 string        `json:"sha256,omitempty" doc:"Of the source file; needed with a URL."`
	Format string        `json:"format,omitempty" doc:"Default: found out."`
	Arch   string        `json:"arch,omitempty"`
	User   string        `json:"user,omitempty" doc:"Login user."`
	Boot   core.BootMode `json:"boot,omitempty"`
	By     core.Declarer `json:"by,omitempty" maxLength:"1024" doc:"Who adds it; nobody else changes it unless told."`
}

// ApplyAsked is core.Declaration with core.ApplyOptions.
type ApplyAsked struct {
	core.Declaration
	DryRun   bool `json:"dry_run,omitempty" doc:"Tell what would change, and change nothing."`
	TakeOver bool `json:"take_over,omitempty" doc:"Change also what somebody else has declared."`
	Prune    bool `json:"prune,omitempty" doc:"Remove steps and profiles that the same declarer has declared before, and does not any more."`
}

// ReconcileAsked is core.ReconcileOptions.
type ReconcileAsked struct {
	AbandonDeploys bool `json:"abandon_deploys,omitempty"`
	Wait           bool `json:"wait,omitempty"`
}

// Reconciled is what reconcile did: all outcomes, those that failed as well.
type Reconciled struct {
	Outcomes []core.Outcome `json:"outcomes"`
	Problem  *Problem       `json:"problem,omitempty"`
}

// TokenOrder is core.TokenOrder; who makes it is who asks.
type TokenOrder struct {
	Name     string    `json:"name" doc:"The owner of what is taken with it."`
	Role     core.Role `json:"role,omitempty" doc:"viewer, user or operator; default user."`
	Pools    []string  `json:"pools,omitempty" doc:"The only ones it is for; none means all."`
	Quota    int       `json:"quota,omitempty" doc:"Unreleased allocations that the owner may have; 0: no limit."`
	Lifetime Duration  `json:"lifetime,omitzero" doc:"How long it is good, such as 720h; 0: until it is revoked."`
}

// TokenMade tells a token, this once.
type TokenMade struct {
	Token  core.Token `json:"token"`
	Secret string     `json:"secret" doc:"What is sent; it is told here and never again."`
}

// Lines are the last of a console.
type Lines struct {
	Lines []string `json:"lines"`
}
