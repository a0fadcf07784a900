package core

import (
	"cmp"
	"strings"
	"time"
)

// Step is what an operator adds to every deploy of a pool: he declares it once, and
// neither users nor adapters know of it. How it is done the StepRunner of its kind knows.
type Step struct {
	Name string `json:"name" yaml:"name"`
	// Phase is when it runs; empty is the usual one of its kind.
	Phase StepPhase `json:"phase,omitempty" yaml:"phase,omitempty"`
	// After are steps that go before it, where they are chosen as well.
	After []string `json:"after,omitempty" yaml:"after,omitempty"`
	// Timeout bounds one try; 0 is the usual one of its kind.
	Timeout Span `json:"timeout,omitempty" yaml:"timeout,omitempty"`
	// Retries is how often it is tried again where it is known to have failed.
	Retries   int           `json:"retries,omitempty" yaml:"retries,omitempty"`
	OnFailure FailurePolicy `json:"on_failure,omitempty" yaml:"on_failure,omitempty"`
	// Repeatable is that doing it twice is as doing it once: it is done again where a
	// crash has left unknown what came of it.
	Repeatable bool `json:"repeatable,omitempty" yaml:"repeatable,omitempty"`
	// Secrets are what it may know besides, and where that is found when it runs.
	Secrets map[string]Reference `json:"secrets,omitempty" yaml:"secrets,omitempty"`
	// Only are the servers that it is for; default: all.
	Only *StepServers `json:"only,omitempty" yaml:"only,omitempty"`

	// One of these, which says its kind.
	Script  *ScriptStep  `json:"script,omitempty" yaml:"script,omitempty"`
	HTTP    *HTTPStep    `json:"http,omitempty" yaml:"http,omitempty"`
	Plugin  *PluginStep  `json:"plugin,omitempty" yaml:"plugin,omitempty"`
	Ansible *AnsibleStep `json:"ansible,omitempty" yaml:"ansible,omitempty"`

	CloudInit *CloudInitStep `json:"cloud_init,omitempty" yaml:"cloud_init,omitempty"`

	BIOS       *BIOSStep       `json:"bios,omitempty" yaml:"bios,omitempty"`
	RAID       *RAIDStep       `json:"raid,omitempty" yaml:"raid,omitempty"`
	Firmware   *FirmwareStep   `json:"firmware,omitempty" yaml:"firmware,omitempty"`
	BootOrder  *BootOrderStep  `json:"boot_order,omitempty" yaml:"boot_order,omitempty"`
	SecureBoot *SecureBootStep `json:"secure_boot,omitempty" yaml:"secure_boot,omitempty"`

	// DeclaredBy is who declared it: nobody else changes it unless told.
	DeclaredBy Declarer `json:"declared_by,omitempty" yaml:"-"`
}

// StepKind is what a step is.
type StepKind string

const (
	// KindScript is a script on the machine.
	KindScript StepKind = "script"
	// KindHTTP is a request to another system.
	KindHTTP StepKind = "http"
	// KindCloudInit is a fragment of cloud-config, for the first start of the OS.
	KindCloudInit StepKind = "cloud-init"
	// KindBIOS sets attributes of the server's firmware.
	KindBIOS StepKind = "bios"
	// KindRAID makes volumes behind RAID controllers.
	KindRAID StepKind = "raid"
	// KindFirmware looks whether firmware is new enough.
	KindFirmware StepKind = "firmware"
	// KindBootOrder sets what the firmware boots first.
	KindBootOrder StepKind = "boot-order"
	// KindSecureBoot sets UEFI Secure Boot.
	KindSecureBoot StepKind = "secure-boot"
	// KindPlugin is what a program of the operator's own does.
	KindPlugin StepKind = "plugin"
	// KindAnsible is a playbook of Ansible's.
	KindAnsible StepKind = "ansible"
)

// StepPhase is when a step runs.
type StepPhase string

const (
	// PhasePrepare is before the image is written.
	PhasePrepare StepPhase = "prepare"
	// PhaseFirstBoot is when the OS starts for the first time.
	PhaseFirstBoot StepPhase = "first_boot"
	// PhaseDeployed is once the machine has shown the host key of this attempt.
	PhaseDeployed StepPhase = "deployed"
	// PhaseRelease is before the power of a machine is cut that is given up.
	PhaseRelease StepPhase = "release"
	// PhaseCleaned is after all disks were erased, and that was verified.
	PhaseCleaned StepPhase = "cleaned"
)

// FailurePolicy is what becomes of a deploy whose step has failed.
type FailurePolicy string

const (
	// FailDeploy, where nothing is said: it fails, too.
	FailDeploy FailurePolicy = "fail"
	// FailNode: the node is at fault. It is kept out, and another one is taken.
	FailNode FailurePolicy = "quarantine"
	// FailNothing: it goes on, and an event tells.
	FailNothing FailurePolicy = "warn"
)

// Profile is a choice of steps, in the order in which they run where nothing else says
// it: phases go before it, and what a step has in After.
type Profile struct {
	Name       string   `json:"name" yaml:"name"`
	Steps      []string `json:"steps" yaml:"steps"`
	DeclaredBy Declarer `json:"declared_by,omitempty" yaml:"-"`
}

// stepKind is what all steps of a kind have in common.
type stepKind struct {
	kind    StepKind
	phases  []StepPhase // that it may run in, the usual one first
	timeout time.Duration
	// repeatable is that every step of the kind is.
	repeatable bool
	// logsIn is that it runs on the machine, through SSH, in the phases in which that has
	// an OS; see Step.logsIn.
	logsIn bool
	// ours is that what it says is run on the hosts that work on the pool.
	ours bool
	// host is what those hosts do for it by themselves, "" where it is left to the machine
	// and its BMC.
	host string
	// quoted says which lines of what it said its failure tells; nil: none.
	quoted func(text string) string
	of     func(s Step) bool
	// setting is what a step of the kind sets the server itself up with, nil where it is
	// none of those; see settings.go.
	setting func(s Step) setting
	// reads is that nothing is ever written: what is not as wanted stays so, and fails.
	reads bool
	// spends is that what it changes is lost with what was there.
	spends bool
	// check says what is wrong with what a step of the kind has of its own. What its
	// templates cost is added to what others have.
	check func(s Step, spent *effort) error
}

var stepKinds = []stepKind{
	{
		kind: KindScript, phases: []StepPhase{PhaseDeployed, PhasePrepare, PhaseRelease, PhaseCleaned}, timeout: 10 * time.Minute, logsIn: true, quoted: lastSaid,
		of: func(s Step) bool { return s.Script != nil }, check: func(s Step, spent *effort) error { return s.Script.check(s, spent) },
	},
	{
		kind: KindHTTP, phases: []StepPhase{PhaseDeployed, PhasePrepare, PhaseRelease, PhaseCleaned}, timeout: time.Minute, host: "it makes requests from the server's host",
		of: func(s Step) bool { return s.HTTP != nil }, check: func(s Step, spent *effort) error { return s.HTTP.check(s.Secrets, spent) },
	},
	{
		kind: KindCloudInit, phases: []StepPhase{PhaseFirstBoot}, timeout: time.Minute, repeatable: true,
		of: func(s Step) bool { return s.CloudInit != nil }, check: func(s Step, spent *effort) error { return s.CloudInit.check(s.Secrets, spent) },
	},
	{
		kind: KindBIOS, phases: []StepPhase{PhasePrepare}, timeout: setLimit, repeatable: true,
		of: func(s Step) bool { return s.BIOS != nil }, check: func(s Step, _ *effort) error { return s.BIOS.check() },
		setting: func(s Step) setting { return s.BIOS },
	},
	{
		kind: KindRAID, phases: []StepPhase{PhasePrepare}, timeout: setLimit, repeatable: true, spends: true,
		of: func(s Step) bool { return s.RAID != nil }, check: func(s Step, _ *effort) error { return s.RAID.check() },
		setting: func(s Step) setting { return s.RAID },
	},
	{
		kind: KindFirmware, phases: []StepPhase{PhasePrepare}, timeout: setLimit, repeatable: true, reads: true,
		of: func(s Step) bool { return s.Firmware != nil }, check: func(s Step, _ *effort) error { return s.Firmware.check() },
		setting: func(s Step) setting { return s.Firmware },
	},
	{
		kind: KindBootOrder, phases: []StepPhase{PhasePrepare}, timeout: setLimit, repeatable: true,
		of: func(s Step) bool { return s.BootOrder != nil }, check: func(s Step, _ *effort) error { return s.BootOrder.check() },
		setting: func(s Step) setting { return s.BootOrder },
	},
	{
		kind: KindSecureBoot, phases: []StepPhase{PhasePrepare}, timeout: setLimit, repeatable: true,
		of: func(s Step) bool { return s.SecureBoot != nil }, check: func(s Step, _ *effort) error { return s.SecureBoot.check() },
		setting: func(s Step) setting { return s.SecureBoot },
	},
	{
		kind: KindPlugin, phases: []StepPhase{PhaseDeployed, PhasePrepare, PhaseRelease, PhaseCleaned}, timeout: 5 * time.Minute, host: "it runs a program on the server's host",
		of: func(s Step) bool { return s.Plugin != nil }, check: func(s Step, spent *effort) error { return s.Plugin.check(spent) },
	},
	{
		kind: KindAnsible, phases: []StepPhase{PhaseDeployed, PhaseRelease}, timeout: 30 * time.Minute, logsIn: true, quoted: playbookFault, ours: true,
		of: func(s Step) bool { return s.Ansible != nil }, check: func(s Step, spent *effort) error { return s.Ansible.check(s.Secrets, spent) },
	},
}

// about is what the kind of a step says of it; the zero stepKind where it has none.
func (s Step) about() stepKind {
	for _, k := range stepKinds {
		if k.of(s) {
			return k
		}
	}
	return stepKind{}
}

// FromOurHost is why a server takes the step from nobody but its own host; "" where
// anybody may declare it who may declare steps.
func (s Step) FromOurHost() string {
	switch {
	case len(s.Secrets) > 0:
		return "it has secrets, which are found on the server's host"
	case s.about().ours:
		return "it says what is run on the server's host"
	}
	return ""
}

// usesOurHost is what of a server's host a step has to do with; "" where it is the
// machine's and its BMC's alone. It goes beyond FromOurHost: to declare a request takes
// less than to have one made.
func (s Step) usesOurHost() string {
	return cmp.Or(s.FromOurHost(), s.about().host)
}

// Kind is what the step is; "" where it is none.
func (s Step) Kind() StepKind { return s.about().kind }

// field is the field of a rack file by which the step says its kind.
func (s Step) field() string { return strings.ReplaceAll(string(s.Kind()), "-", "_") }

// OrDefaults says what counts where a step leaves something out.
func (s Step) OrDefaults() Step {
	kind := s.about()
	if len(kind.phases) > 0 {
		s.Phase = cmp.Or(s.Phase, kind.phases[0])
	}
	switch s.Phase {
	case PhaseRelease: // nothing holds a release up for long
		s.Timeout, s.OnFailure = cmp.Or(s.Timeout, Span(releaseTimeout)), FailNothing
	case PhaseCleaned: // there is no deploy that could fail
		s.OnFailure = cmp.Or(s.OnFailure, FailNode)
	}
	s.Timeout = cmp.Or(s.Timeout, Span(kind.timeout))
	s.OnFailure = cmp.Or(s.OnFailure, FailDeploy)
	s.Repeatable = s.Repeatable || kind.repeatable
	return s
}

// logsIn reports whether a step with its defaults runs on the machine, through SSH.
func (s Step) logsIn() bool {
	return s.about().logsIn && (s.Phase == PhaseDeployed || s.Phase == PhaseRelease)
}

// inRamdisk reports whether a step with its defaults is run by the agent.
func (s Step) inRamdisk() bool {
	return s.about().logsIn && (s.Phase == PhasePrepare || s.Phase == PhaseCleaned)
}

// Same reports whether two steps say the same, whoever declared them.
func (s Step) Same(other Step) bool {
	s.DeclaredBy, other.DeclaredBy = "", ""
	return sameJSON(s, other)
}

// Span is a length of time that is written as people do: "10m".
type Span time.Duration

// MarshalText implements encoding.TextMarshaler.
func (s Span) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Span) UnmarshalText(text []byte) error {
	d, err := ParseDuration("timeout", string(text))
	*s = Span(d)
	return err
}

func (s Span) String() string { return FormatDuration(time.Duration(s)) }
