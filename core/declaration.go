package core

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
)

// Declaration is what somebody wants to be there: a file's content, say. It says nothing
// of what it does not name. A step and a profile are wholly as it says; of an image, a
// pool and a node what it leaves out stays as it is.
type Declaration struct {
	By       Declarer           `json:"by"`
	Images   []ImageDeclaration `json:"images,omitempty"`
	Steps    []Step             `json:"steps,omitempty"`
	Profiles []Profile          `json:"profiles,omitempty"`
	Pools    []PoolDeclaration  `json:"pools,omitempty"`
	// Nodes that are not there are told as ToEnroll, and left to Enroll: their BMCs are
	// to be asked.
	Nodes []NodeDeclaration `json:"nodes,omitempty"`
	// With are what others declare in the same breath: all of it is applied, or nothing.
	With []Declaration `json:"with,omitempty"`
}

// Each is the declaration by itself, and then those with it.
func (d Declaration) Each() []Declaration {
	with := d.With
	d.With = nil
	return append([]Declaration{d}, with...)
}

// ImageDeclaration is what is said of an Image; "" is left out.
type ImageDeclaration struct {
	Name string `json:"name" yaml:"name"`
	// Source is where it is: a path of the host that deploys, or an https URL.
	Source string `json:"source,omitempty" yaml:"source,omitempty"`
	// SHA256 is that of the source, in hex; a URL needs it.
	SHA256 string `json:"sha256,omitempty" yaml:"sha256,omitempty"`
	// Format is raw or qcow2, with .gz, .xz or .zst where it is compressed. Default: found
	// out.
	Format string `json:"format,omitempty" yaml:"format,omitempty"`
	// Arch is amd64, which is the default, or arm64.
	Arch string `json:"arch,omitempty" yaml:"arch,omitempty"`
	// User is its login user, such as debian.
	User string `json:"user,omitempty" yaml:"user,omitempty"`
	// Boot is how the ramdisk hands over to it; default: kexec.
	Boot BootMode `json:"boot,omitempty" yaml:"boot,omitempty"`
}

// PoolDeclaration is what is said of a Pool. An empty value takes a setting back.
type PoolDeclaration struct {
	Name string `json:"name" yaml:"name"`
	// DefaultImage is that of machines which name none.
	DefaultImage *string `json:"default_image,omitempty" yaml:"default_image,omitempty"`
	// EraseMinimum is how thoroughly each disk must be erased at least (NIST SP 800-88).
	// Default: clear.
	EraseMinimum *EraseClass `json:"erase_minimum,omitempty" yaml:"erase_minimum,omitempty"`
	// Quota is how many machines one owner may hold at once; 0: no limit.
	Quota *int `json:"quota,omitempty" yaml:"quota,omitempty"`
	// ManagementKey is whether metalpool can log in to the pool's machines. Default:
	// deploy, which is while it needs to.
	ManagementKey *ManagementPolicy `json:"management_key,omitempty" yaml:"management_key,omitempty"`
	// Timeouts bound each phase.
	Timeouts *TimeoutsDeclaration `json:"timeouts,omitempty" yaml:"timeouts,omitempty"`
	// Profile is the choice of steps of machines that name none.
	Profile *string `json:"profile,omitempty" yaml:"profile,omitempty"`
	// Profiles are others that a machine may name.
	Profiles []string `json:"profiles,omitzero" yaml:"profiles,omitempty,flow"`
	// StepsAtOnce is how many of the pool's nodes are done steps on at one time, by each
	// process that works on them. Default: 16.
	StepsAtOnce *int `json:"steps_at_once,omitempty" yaml:"steps_at_once,omitempty"`
}

// TimeoutsDeclaration is what is said of Timeouts; 0s is the default.
type TimeoutsDeclaration struct {
	// Power is until the BMC reads back what was asked; default 2m.
	Power *Span `json:"power,omitempty" yaml:"power,omitempty"`
	// CheckIn is from power on until the ramdisk's agent calls; default 20m.
	CheckIn *Span `json:"check_in,omitempty" yaml:"check_in,omitempty"`
	// Write is to write the image and read it back; default 60m.
	Write *Span `json:"write,omitempty" yaml:"write,omitempty"`
	// SSH is from the OS's start until it shows its host key; default 20m.
	SSH *Span `json:"ssh,omitempty" yaml:"ssh,omitempty"`
	// Kexec is until an OS that was started by kexec shows life; default 10m, or half of
	// ssh where that is less.
	Kexec *Span `json:"kexec,omitempty" yaml:"kexec,omitempty"`
	// Erase is to erase all disks and verify it; default 24h.
	Erase *Span `json:"erase,omitempty" yaml:"erase,omitempty"`
}

// NodeDeclaration is what is said of a node; nil is left out. Without an ID it is the node
// whose BMC has the URL.
type NodeDeclaration struct {
	ID          NodeID            `json:"id,omitempty"`
	URL         string            `json:"url"`
	Pool        *string           `json:"pool,omitempty"`
	Labels      map[string]string `json:"labels,omitzero"` // all of them
	User        *string           `json:"user,omitempty"`
	Password    *string           `json:"password,omitempty" doc:"A secret, or a Reference."`
	Fingerprint *string           `json:"fingerprint,omitempty"`
	CA          *string           `json:"ca,omitempty"`
	Insecure    *bool             `json:"insecure,omitempty"`
	ConsoleKey  *string           `json:"console_key,omitempty"`
	Address     *string           `json:"address,omitempty"`
	SSHPort     *int              `json:"ssh_port,omitempty"`
	DockerPort  *int              `json:"docker_port,omitempty"`
	Advertise   *string           `json:"advertise,omitempty"`
	Agent       *AgentRoute       `json:"agent,omitempty"`
	Network     *Network          `json:"network,omitempty"` // without ports: DHCP on every port
	Boot        *BootMode         `json:"boot,omitempty"`
}

// Label is the node's name for people: its ID, or where its BMC is.
func (d NodeDeclaration) Label() string {
	if d.ID != "" {
		return string(d.ID)
	}
	if u, err := url.Parse(d.URL); err == nil {
		return u.Host
	}
	return "?"
}

// Policy is all that can be said of a pool, where it is not the default.
func (p Pool) Policy() PoolDeclaration {
	t := TimeoutsDeclaration{
		Power: set(Span(p.Timeouts.Power)), CheckIn: set(Span(p.Timeouts.CheckIn)), Write: set(Span(p.Timeouts.Write)),
		SSH: set(Span(p.Timeouts.SSH)), Kexec: set(Span(p.Timeouts.Kexec)), Erase: set(Span(p.Timeouts.Erase)),
	}
	d := PoolDeclaration{
		Name: p.Name, DefaultImage: set(p.DefaultImage), EraseMinimum: set(p.EraseMinimum), Quota: set(p.Quota),
		ManagementKey: set(p.ManagementKey), Profile: set(p.Profile), Profiles: p.Profiles, StepsAtOnce: set(p.StepsAtOnce),
	}
	if t != (TimeoutsDeclaration{}) {
		d.Timeouts = &t
	}
	return d
}

// apply has a pool be as is said of it.
func (d PoolDeclaration) apply(p *Pool) {
	p.Name = d.Name
	put(&p.DefaultImage, d.DefaultImage)
	put(&p.EraseMinimum, d.EraseMinimum)
	put(&p.Quota, d.Quota)
	put(&p.ManagementKey, d.ManagementKey)
	put(&p.Profile, d.Profile)
	if d.Profiles != nil {
		p.Profiles = append([]string(nil), d.Profiles...) // nil where there are none
	}
	put(&p.StepsAtOnce, d.StepsAtOnce)
	if t := d.Timeouts; t != nil {
		put((*Span)(&p.Timeouts.Power), t.Power)
		put((*Span)(&p.Timeouts.CheckIn), t.CheckIn)
		put((*Span)(&p.Timeouts.Write), t.Write)
		put((*Span)(&p.Timeouts.SSH), t.SSH)
		put((*Span)(&p.Timeouts.Kexec), t.Kexec)
		put((*Span)(&p.Timeouts.Erase), t.Erase)
	}
}

// Validate says what is wrong with what is said of a pool by itself.
func (d PoolDeclaration) Validate() error {
	var p Pool
	d.apply(&p)
	p.Timeouts.Kexec = 0 // it is compared with another, which may be left out
	return p.Validate()
}

// Declaration is all that can be said of an image.
func (i Image) Declaration() ImageDeclaration {
	return ImageDeclaration{Name: i.Name, Source: i.Source, SHA256: i.SHA256, Format: i.Format, Arch: i.Arch, User: i.User, Boot: i.Boot}
}

// apply has an image be as is said of it.
func (d ImageDeclaration) apply(i *Image) {
	i.Name = d.Name
	for _, field := range []struct {
		to   *string
		from string
	}{{&i.Source, d.Source}, {&i.SHA256, d.SHA256}, {&i.Format, d.Format}, {&i.Arch, d.Arch}, {&i.User, d.User}} {
		if field.from != "" {
			*field.to = field.from
		}
	}
	if d.Boot != "" {
		i.Boot = d.Boot
	}
}

// Declaration is all that can be said of a node but its password, where it is not the
// default. What metalpool has found out by itself is not said.
func (n Node) Declaration() NodeDeclaration {
	s := n.Spec
	d := NodeDeclaration{
		ID: n.ID, URL: s.BMC.URL, Pool: set(n.Pool), Labels: s.Labels, User: set(s.BMC.User), Password: set(string(s.BMC.PasswordFrom)),
		Fingerprint: set(s.BMC.TLS.Fingerprint), CA: set(s.BMC.TLS.CA), Insecure: set(s.BMC.TLS.Insecure), ConsoleKey: set(s.BMC.ConsoleKey),
		Address: set(s.Address), SSHPort: set(s.SSHPort), DockerPort: set(s.DockerPort), Advertise: set(s.Advertise), Agent: set(s.Agent), Network: s.Network,
	}
	if s.BootWhy == "" {
		d.Boot = set(s.Boot)
	}
	if len(d.Labels) == 0 {
		d.Labels = nil
	}
	return d
}

// change is what has a node be as is said of it.
func (d NodeDeclaration) change(there Node) NodeChange {
	c := NodeChange{
		Pool: d.Pool, URL: &d.URL, User: d.User, Password: d.Password, ConsoleKey: d.ConsoleKey, Address: d.Address, SSHPort: d.SSHPort, DockerPort: d.DockerPort,
		Advertise: d.Advertise, Agent: d.Agent, Network: d.Network,
	}
	// What was found out by itself stays where the declaration says no more than before.
	if d.Boot != nil && (there.Spec.BootWhy == "" || *d.Boot != "") {
		c.Boot = d.Boot
	}
	// One way to check the certificate takes the place of another: only what is to be is
	// said.
	want := TLSCheck{}
	put(&want.Fingerprint, d.Fingerprint)
	put(&want.CA, d.CA)
	put(&want.Insecure, d.Insecure)
	if want != (TLSCheck{}) && want != there.Spec.BMC.TLS {
		c.Fingerprint, c.CA, c.Insecure = &want.Fingerprint, &want.CA, &want.Insecure
	}
	if d.Labels != nil {
		c.Labels = map[string]*string{}
		for name := range there.Spec.Labels {
			c.Labels[name] = nil
		}
		for name, value := range maps.All(d.Labels) {
			c.Labels[name] = &value
		}
	}
	return c
}

// validate looks at a declaration by itself.
func (d Declaration) validate() error {
	var wrong faults
	var spent effort
	named := map[string]bool{}
	once := func(of, name string, err error) error {
		if err == nil && named[of+" "+name] {
			err = &Error{Op: "apply", Kind: Invalid, Err: fmt.Errorf("%s %s is declared twice", of, name), Hint: "keep one of the two"}
		}
		named[of+" "+name] = true
		return wrong.add(of, name, err)
	}
	for _, d := range d.Each() {
		switch {
		case d.By == "":
			return &Error{Op: "apply", Kind: Invalid, Err: errors.New("it is not said who declares it"), Hint: "name the file"}
		case len(d.By) > mostDeclarer:
			return &Error{Op: "apply", Kind: Invalid, Err: fmt.Errorf("who declares it has a name of %d bytes, which may be %d", len(d.By), mostDeclarer), Hint: "give it a shorter one: --as file:NAME"}
		case len(d.With) > 0:
			return &Error{Op: "apply", Kind: Invalid, Err: errors.New("a declaration that comes with another has others with it"), Hint: "list them all with the first"}
		}
		if err := d.eachValid(once, &spent); err != nil {
			return err
		}
	}
	return wrong.err()
}

// eachValid looks at each thing by itself. What templates cost it adds to spent.
func (d Declaration) eachValid(tell func(of, name string, err error) error, spent *effort) error {
	for _, i := range d.Images {
		if err := tell(kindImage, i.Name, CheckImageName(i.Name)); err != nil {
			return err
		}
	}
	for _, s := range d.Steps {
		if err := tell(kindStep, s.Name, s.validate(spent)); err != nil {
			return err
		}
	}
	for _, p := range d.Profiles {
		if err := tell(kindProfile, p.Name, p.Validate()); err != nil {
			return err
		}
	}
	for _, p := range d.Pools {
		if err := tell(kindPool, p.Name, p.Validate()); err != nil {
			return err
		}
	}
	for _, n := range d.Nodes {
		var err error
		if _, bad := bmcURL(n.URL); bad != nil {
			err = &Error{Op: "declare node", Node: n.ID, Kind: Invalid, Err: inPart(inPart(bad, "url"), "bmc"), Hint: "give it as https://host[:port], user and password apart"}
		}
		if err := tell(kindNode, n.Label(), err); err != nil {
			return err
		}
	}
	return nil
}

// declarable is one thing that a declaration names.
type declarable interface{ label() string }

func (d ImageDeclaration) label() string { return d.Name }
func (d PoolDeclaration) label() string  { return d.Name }
func (s Step) label() string             { return s.Name }
func (p Profile) label() string          { return p.Name }

const (
	kindImage   = "image"
	kindStep    = "step"
	kindProfile = "profile"
	kindPool    = "pool"
	kindNode    = "node"
)

// put writes what is said, if anything is.
func put[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// set is a value that says something; nil where it is the zero one.
func set[T comparable](value T) *T {
	if value == *new(T) {
		return nil
	}
	return &value
}
