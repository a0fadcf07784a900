package core

import "time"

// AllocationID names an allocation. The caller makes it, so that a retry is the
// same request. 1 to 64 of [A-Za-z0-9._-].
type AllocationID string

// AdapterLabels begins the labels that adapters keep on allocations for themselves. They are
// nothing to show to people.
const AdapterLabels = "metalpool/"

// Allocation is ownership of a node by a caller. Its row stays for ever: an ID
// that was released or has expired never acquires again.
type Allocation struct {
	ID      AllocationID      `json:"id"`
	Owner   string            `json:"owner"`
	Name    string            `json:"name"` // unique per owner among unreleased allocations
	State   State             `json:"state"`
	Reason  string            `json:"reason,omitempty"`
	Node    NodeID            `json:"node,omitempty"` // while it holds one
	Version uint64            `json:"version"`
	Labels  map[string]string `json:"labels,omitempty"` // the owner's notes

	Request Request `json:"request"`
	// Order is what is to be deployed; nil until deploy is asked for.
	Order *DeployOrder `json:"order,omitempty"`

	CreatedAt time.Time `json:"created_at"`
	// Deadline ends an Allocated allocation that was never deployed, and a Waiting
	// one whose waiter stopped renewing it.
	Deadline time.Time `json:"deadline,omitzero"`
	// Until is when it is given up, whatever runs on it; zero: when somebody does.
	Until   time.Time `json:"until,omitzero"`
	EndedAt time.Time `json:"ended_at,omitzero"`

	// Settled is whether it was ever Deployed: the other disks of its node may hold what
	// its owner keeps, so it stays there from then on.
	Settled bool `json:"settled,omitempty"`
	// Moves are the nodes that failed this allocation by their own fault, oldest first.
	Moves []NodeID `json:"moves,omitempty"`
	// As is the allocation that went on in the place of this one; see adopt.go.
	As AllocationID `json:"as,omitempty"`
	// Access is how to reach the machine; set when the deploy is done.
	Access Access `json:"access,omitzero"`
	// Login is our own way into the machine, where its pool keeps one.
	Login *LoginKey `json:"login,omitempty"`
	// Steps are the operator's that it was deployed with; see Attempt.given.
	Steps []string `json:"steps,omitempty"`
}

// LoginKey is a key pair of SSH that one allocation's machine lets in.
type LoginKey struct {
	Private Sealed `json:"private"` // PEM
	Public  string `json:"public"`  // authorized_keys format, with a comment that says whose
}

// Access is how a machine is reached.
type Access struct {
	Address    string   `json:"address,omitempty"`
	SSHPort    int      `json:"ssh_port,omitempty"`
	SSHUser    string   `json:"ssh_user,omitempty"`
	DockerPort int      `json:"docker_port,omitempty"`
	HostKeys   []string `json:"host_keys,omitempty"` // public, authorized_keys format
	// Unseen is whether nobody has looked if the OS answers: see UntilStarted.
	Unseen bool `json:"unseen,omitempty"`
}

// DeployOrder is what to put on a node. User data and the script are secrets.
type DeployOrder struct {
	Image    string   `json:"image"`
	Hostname string   `json:"hostname,omitempty"` // default: the machine's name
	SSHUser  string   `json:"ssh_user,omitempty"` // default: the image's login user
	SSHPort  int      `json:"ssh_port,omitempty"` // 0: the node's
	Keys     []string `json:"keys"`               // public keys, authorized_keys format
	Profile  string   `json:"profile,omitempty"`  // default: the pool's
	// Tried are keys that a change began to put on the machine, and may have: it has not
	// come to its end.
	Tried    []string `json:"tried,omitempty"`
	UserData Sealed   `json:"user_data,omitempty"`
	// PostDeploy is the user's own script, and PostDeployDigest tells it from another's.
	PostDeploy       Sealed `json:"post_deploy,omitempty"`
	PostDeployDigest string `json:"post_deploy_digest,omitempty"`
	// Digest tells the user data and revision of two orders apart without opening them.
	Digest string `json:"digest"`
	// WaitFor is how far the machine is to come before it counts as deployed.
	WaitFor WaitFor `json:"wait_for,omitempty"`
	// Stays has it deployed on the node that the allocation has, or not at all.
	Stays bool `json:"stays,omitempty"`
	// Served is an order that a server has taken: servers go on with it by themselves, until
	// By, by the store's clock.
	Served bool      `json:"served,omitempty"`
	By     time.Time `json:"by,omitzero"`
}

// AttemptID names one try at a deploy, a clean or a preparation. It is new for
// each, and everything that counts as done is counted under it.
type AttemptID string

// Job is the kind of work that an attempt does.
type Job string

const (
	JobDeploy  Job = "deploy"
	JobClean   Job = "clean"
	JobPrepare Job = "prepare" // sets a node up for its pool
)

// Attempt is the record of work under way, enough for another process to go on.
type Attempt struct {
	ID         AttemptID    `json:"id"`
	Node       NodeID       `json:"node"`
	Allocation AllocationID `json:"allocation,omitempty"`
	Job        Job          `json:"job"`
	StartedAt  time.Time    `json:"started_at"`
	EndedAt    time.Time    `json:"ended_at,omitzero"`
	// Image, Model and Pool are what Stats tells durations apart by.
	Image string `json:"image,omitempty"`
	Model string `json:"model,omitempty"`
	Pool  string `json:"pool,omitempty"`
	// Outcome is what ended it, and StoppedAt the step that it had come to, where that was
	// not its end.
	Outcome   Trigger `json:"outcome,omitempty"`
	StoppedAt string  `json:"stopped_at,omitempty"`
	// Met are the steps that are behind it, with the time. Undone are those of them that were
	// gone on without, as the operator wants it: they failed, or were left out.
	Met    map[string]time.Time `json:"met,omitempty"`
	Undone []string             `json:"undone,omitempty"`
	// Boot is the ramdisk boot that this attempt uses now; Boots counts them, those of
	// workers that died too.
	Boot  *Boot `json:"boot,omitempty"`
	Boots int   `json:"boots,omitempty"`
	// ConsoleMarks are the marks of all its boots; see ConsoleMark.
	ConsoleMarks []string `json:"console_marks,omitempty"`
	// Disk is the root disk that was chosen, by serial or WWN; MACs are the ports that
	// ask for an address, the agent's first.
	Disk string   `json:"disk,omitempty"`
	MACs []string `json:"macs,omitempty"`
	// Handover is how the OS is started in this attempt, once that is known. Lifeless
	// is when the OS that kexec had started was given up on.
	Handover BootMode  `json:"handover,omitempty"`
	Lifeless time.Time `json:"lifeless,omitzero"`
	// Steps are the operator's, as they were when the attempt began and in the order in
	// which they run. Once it has ended, of a deploy those are left that are done when its
	// machine is given up; of others none. Tries are how often each was begun.
	Steps []Step         `json:"steps,omitempty"`
	Tries map[string]int `json:"tries,omitempty"`
	// Fragments are what those steps have cloud-init do, as []fragment in JSON; gone once it
	// has ended.
	Fragments Sealed `json:"fragments,omitempty"`
	// TriedIn are the ramdisks in which those of them were begun that run there.
	TriedIn map[string]string `json:"tried_in,omitempty"`
	// Ran is, of a clean, that a machine was there and ran when it was given up.
	Ran bool `json:"ran,omitempty"`
	// Again is, of a preparation, that the one before it had failed.
	Again bool `json:"again,omitempty"`
	// Settings are those of Steps that set the server itself up and are not in force yet, by
	// their names; Rounds is how often it was started anew for them. See settings.go.
	Settings map[string]SettingStage `json:"settings,omitempty"`
	Rounds   int                     `json:"rounds,omitempty"`
	// FailedErases counts erases that failed, not workers that died.
	FailedErases int `json:"failed_erases,omitempty"`
	// EraseFault is why the last of them failed.
	EraseFault string `json:"erase_fault,omitempty"`
	// Quiet is when the last call of a worker that was fenced out alive has ended.
	Quiet time.Time `json:"quiet,omitzero"`
	// HostKeys are the private SSH host keys that we made; gone once Deployed.
	HostKeys Sealed `json:"host_keys,omitempty"`
	// Login is our way into the machine while it is being deployed. KeepLogin says that
	// it stays afterwards.
	Login     *LoginKey `json:"login,omitempty"`
	KeepLogin bool      `json:"keep_login,omitempty"`
	// WaitFor is how far the machine is to come before it counts as deployed.
	WaitFor WaitFor `json:"wait_for,omitempty"`
	// PublicHostKeys are their public halves, authorized_keys format.
	PublicHostKeys []string `json:"public_host_keys,omitempty"`
}

// Boot is one start of the ramdisk. Its key authenticates the engine to the agent
// and signs for the check-in server; its token authenticates the agent's check-in.
type Boot struct {
	ID          string    `json:"id"`          // random; part of the media's URL
	Secret      Sealed    `json:"secret"`      // BootSecret as JSON
	Certificate []byte    `json:"certificate"` // DER; public
	Expires     time.Time `json:"expires"`
	// Agent is set by the check-in.
	Agent *AgentEndpoint `json:"agent,omitempty"`
}

// BootSecret is what only the engine may know of a boot.
type BootSecret struct {
	Key   []byte `json:"key"`   // PKCS#8 private key of Boot.Certificate
	Token string `json:"token"` // presented by the agent at check-in
}

// AgentEndpoint is where an agent listens and which certificate it made.
type AgentEndpoint struct {
	Address     string   `json:"address"`     // host:port
	Certificate []byte   `json:"certificate"` // DER
	Identity    Identity `json:"identity"`
	Peer        string   `json:"peer"` // the IP the check-in came from
}
