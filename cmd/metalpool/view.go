package main

import (
	"net/url"
	"time"

	"github.com/metalpool/metalpool/core"
)

// The views are what programs get: core's own types hold sealed secrets, and what
// is stored may change where what is printed must not.

type nodeView struct {
	ID          core.NodeID       `json:"id"`
	Pool        string            `json:"pool"`
	State       core.State        `json:"state"`
	Since       time.Time         `json:"since"`
	Reason      string            `json:"reason,omitempty"`
	Step        string            `json:"step,omitempty"` // how far the work under way is
	Suspect     bool              `json:"suspect,omitempty"`
	Unreachable string            `json:"unreachable,omitempty"`
	Machine     *holderView       `json:"machine,omitempty"`
	Erases      int               `json:"erases"`
	Erasures    core.Erasures     `json:"erasures,omitempty"`
	EraseFault  string            `json:"erase_fault,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Address     string            `json:"address,omitempty"`
	SSHPort     int               `json:"ssh_port,omitempty"`
	DockerPort  int               `json:"docker_port,omitempty"`
	Advertise   string            `json:"advertise,omitempty"`
	Agent       core.AgentRoute   `json:"agent,omitzero"`
	Network     *core.Network     `json:"network,omitempty"`
	Boot        core.BootMode     `json:"boot,omitempty"`
	BootWhy     string            `json:"boot_why,omitempty"`
	BMC         bmcView           `json:"bmc"`
	Identity    core.Identity     `json:"identity"`
	Hardware    core.Hardware     `json:"hardware"`
	DeclaredBy  core.Declarer     `json:"declared_by,omitempty"`
}

type holderView struct {
	ID    core.AllocationID `json:"id"`
	Owner string            `json:"owner"`
	Name  string            `json:"name"`
}

type bmcView struct {
	Backend string `json:"backend"`
	URL     string `json:"url"`
	User    string `json:"user,omitempty"`
	// PasswordFrom says where the password is found; it is no secret.
	PasswordFrom core.Reference `json:"password_from,omitempty"`
	Fingerprint  string         `json:"fingerprint,omitempty"`
	CA           string         `json:"ca,omitempty"`
	Insecure     bool           `json:"insecure,omitempty"`
	ConsoleKey   string         `json:"console_key,omitempty"`
}

func viewNode(n core.Node, h holder) nodeView {
	v := nodeView{
		ID: n.ID, Pool: n.Pool, State: n.State, Since: n.Since, Reason: n.Reason, Suspect: n.Suspect,
		Unreachable: n.Spec.Unreachable, Erases: n.Erases, Erasures: n.Spec.Erasures, EraseFault: n.Spec.EraseFault, Labels: n.Spec.Labels,
		Address: n.Spec.Address, SSHPort: n.Spec.SSHPort, DockerPort: n.Spec.DockerPort, Advertise: n.Spec.Advertise,
		Agent: n.Spec.Agent, Network: n.Spec.Network, Boot: n.Spec.Boot, BootWhy: n.Spec.BootWhy,
		Identity: n.Spec.Identity, Hardware: n.Hardware, DeclaredBy: n.Spec.DeclaredBy,
		BMC: bmcView{
			Backend: n.Spec.BMC.Backend, URL: publicURL(n.Spec.BMC.URL), User: n.Spec.BMC.User, PasswordFrom: n.Spec.BMC.PasswordFrom,
			Fingerprint: n.Spec.BMC.TLS.Fingerprint, CA: n.Spec.BMC.TLS.CA, Insecure: n.Spec.BMC.TLS.Insecure, ConsoleKey: n.Spec.BMC.ConsoleKey,
		},
	}
	if h.ID != "" {
		v.Machine = &holderView{h.ID, h.Owner, h.Name}
	}
	return v
}

type poolView struct {
	Name         string          `json:"name"`
	DefaultImage string          `json:"default_image,omitempty"`
	Profile      string          `json:"profile,omitempty"`  // of deploys that name none
	Profiles     []string        `json:"profiles,omitempty"` // others that a deploy may name
	EraseMinimum core.EraseClass `json:"erase_minimum"`
	Quota        int             `json:"quota,omitempty"`
	StepsAtOnce  int             `json:"steps_at_once,omitempty"` // where it is not the default
	Timeouts     timeoutsView    `json:"timeouts"`                // only those that differ from the default
	Nodes        int             `json:"nodes"`
	Available    int             `json:"available"`
	Machines     int             `json:"machines"`
	DeclaredBy   core.Declarer   `json:"declared_by,omitempty"`
}

// timeoutsView has the names that --timeout takes.
type timeoutsView struct {
	Power   string `json:"power,omitempty"`
	CheckIn string `json:"check-in,omitempty"`
	Write   string `json:"write,omitempty"`
	SSH     string `json:"ssh,omitempty"`
	Kexec   string `json:"kexec,omitempty"`
	Erase   string `json:"erase,omitempty"`
}

type machineView struct {
	core.Machine
	Step   string  `json:"step,omitempty"` // how far its deploy is
	Phases []phase `json:"phases"`
}

// publicURL drops a password that somebody put into an address.
func publicURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.User == nil && u.RawQuery == "" {
		return raw
	}
	u.User = nil
	if u.RawQuery != "" {
		u.RawQuery = "…" // a signed URL is a key
	}
	return u.String()
}

// viewImage is the image without what its source's address may hold.
func viewImage(i core.Image) core.Image {
	i.Source = publicURL(i.Source)
	return i
}
