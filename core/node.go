package core

import "time"

// NodeID names a node; the operator chooses it at enrolment. It is a DNS label.
type NodeID string

// Node is one physical server in the inventory.
//
// It is stored as one row. The first group changes as the node lives and is
// swapped by Version; Spec and Hardware are documents that a claim never rewrites.
type Node struct {
	ID         NodeID       `json:"id"`
	Pool       string       `json:"pool"`
	State      State        `json:"state"`
	Reason     string       `json:"reason,omitempty"`  // why it is in this state, for people
	Suspect    bool         `json:"suspect,omitempty"` // goes to Quarantined after its clean
	Allocation AllocationID `json:"allocation,omitempty"`
	Attempt    AttemptID    `json:"attempt,omitempty"` // the attempt under way, or the last one
	Erases     int          `json:"erases"`            // verified erases since enrolment
	Since      time.Time    `json:"since"`             // when State was entered
	Version    uint64       `json:"version"`           // grows with each swap

	Spec     NodeSpec `json:"spec"`
	Hardware Hardware `json:"hardware"`
}

// NodeSpec is what the operator declared, and what enrolment learned once.
type NodeSpec struct {
	Labels   map[string]string `json:"labels,omitempty"`
	BMC      Endpoint          `json:"bmc"`
	Identity Identity          `json:"identity"`
	// Address and SSHPort fix where the machine is reached. Without an Address it
	// is that of the NIC which checked in; SSHPort 0 is 22.
	Address string `json:"address,omitempty"`
	SSHPort int    `json:"ssh_port,omitempty"`
	// DockerPort is where an engine's TLS port is reached; 0 is 2376.
	DockerPort int `json:"docker_port,omitempty"`
	// Advertise is the host by which this node and its BMC reach the process that
	// deploys, where the route does not tell.
	Advertise string `json:"advertise,omitempty"`
	// Agent is how the ramdisk is reached, and reaches us, where that differs.
	Agent AgentRoute `json:"agent,omitzero"`
	// Network is what the ramdisk and the OS configure; nil asks DHCP on every port.
	Network *Network `json:"network,omitempty"`
	// Boot is how the ramdisk hands over to the OS; empty leaves it to the image.
	Boot BootMode `json:"boot,omitempty"`
	// BootWhy says what the node was seen to do where Boot was set by metalpool itself.
	BootWhy string `json:"boot_why,omitempty"`
	// Erasures are what the erases of its disks have reached.
	Erasures Erasures `json:"erasures,omitempty"`
	// EraseFault tells of erases that failed in the last clean, also where a later one
	// of it was verified: such a disk may be about to fail. Empty where none did.
	EraseFault string `json:"erase_fault,omitempty"`
	// RAID is what became of the node's drives, where a step of kind raid was ever looked at
	// for it; nil: they are disks as they are.
	RAID *NodeRAID `json:"raid,omitempty"`
	// Unreachable names the host that could not reach the BMC last, with the time.
	Unreachable string `json:"unreachable,omitempty"`
	// DeclaredBy is who declared what the operator did: nobody else changes it unless told.
	DeclaredBy Declarer `json:"declared_by,omitempty"`
}

// Endpoint is how a node's BMC is reached. It holds no plain secret.
type Endpoint struct {
	// Node is whose BMC it is, for advice in errors; empty before it is enrolled.
	Node    NodeID `json:"-"`
	Backend string `json:"backend"` // "redfish"
	URL     string `json:"url"`     // https://host[:port]
	User    string `json:"user,omitempty"`
	// Secret is the sealed password. It is empty where PasswordFrom says where to find it
	// each time that the BMC is called.
	Secret       Sealed    `json:"secret,omitempty"`
	PasswordFrom Reference `json:"password_from,omitempty"`
	// TLS names how the BMC's certificate is checked.
	TLS TLSCheck `json:"tls"`
	// ConsoleKey is the fingerprint of the SSH host key at the BMC's serial console,
	// SHA256:…; recorded at enrolment, or when the console is first used. Empty until
	// then, and where there is none.
	ConsoleKey string `json:"console_key,omitempty"`
	// Links are resource addresses kept from enrolment, so that a job does not walk
	// the tree again; the backend walks again when one answers 404.
	Links map[string]string `json:"links,omitempty"`
}

// endpoint is the BMC of a node that is enrolled.
func (n Node) endpoint() Endpoint {
	at := n.Spec.BMC
	at.Node = n.ID
	return at
}

// TLSCheck is one of: a CA file, the fingerprint recorded at enrolment, or none.
type TLSCheck struct {
	CA          string `json:"ca,omitempty"`          // PEM text
	Fingerprint string `json:"fingerprint,omitempty"` // SHA-256 of the certificate, lower-case hex
	Insecure    bool   `json:"insecure,omitempty"`    // explicitly unchecked
}

// Sealed is data that only the holder of the store's key can read.
type Sealed []byte

// Sealer seals and opens secrets with the store's key.
type Sealer interface {
	Seal(plain []byte) (Sealed, error)
	Open(s Sealed) ([]byte, error)
	// Digest is the same for the same text, and tells nothing of it to whoever lacks
	// the key.
	Digest(plain []byte) []byte
	Fingerprint() string // of the key; recorded in the store
}
