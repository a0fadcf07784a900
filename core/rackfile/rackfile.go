// Package rackfile is the file that describes a rack: all that its operator declares, for
// `metalpool apply`, and of that the servers, for `metalpool node enroll --from`. The lab
// writes one of itself.
//
// It may hold BMC passwords, so it is written for its owner's eyes alone.
package rackfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"github.com/google/renameio/v2"
	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core"
)

// File is a rack.
type File struct {
	// Name is who declares what the file does: files of one name change what each other
	// has declared. Default: the name of the file, without its folder.
	Name string `yaml:"name,omitempty"`
	// Images are listed in the catalogue.
	Images []core.ImageDeclaration `yaml:"images,omitempty"`
	// Steps are what is done to every server besides.
	Steps []core.Step `yaml:"steps,omitempty"`
	// Profiles are choices of steps.
	Profiles []core.Profile `yaml:"profiles,omitempty"`
	// Pools are policies.
	Pools []core.PoolDeclaration `yaml:"pools,omitempty"`
	// Nodes are the rack's servers.
	Nodes []Node `yaml:"nodes,omitempty"`
}

// Node is one server. All but the BMC's URL may be left out.
type Node struct {
	// ID names it; default: made from the serial number.
	ID  core.NodeID `yaml:"id,omitempty"`
	BMC BMC         `yaml:"bmc"`
	// Pool is default by default.
	Pool   string            `yaml:"pool,omitempty"`
	Labels map[string]string `yaml:"labels,omitempty"`
	// Address is where the machine is reached; default: that of the NIC which boots.
	Address string `yaml:"address,omitempty"`
	// SSHPort is the machine's; default: 22.
	SSHPort int `yaml:"ssh_port,omitempty"`
	// DockerPort is where an engine's TLS port is reached; default: 2376.
	DockerPort int `yaml:"docker_port,omitempty"`
	// Advertise is how this server reaches us, where the route does not tell.
	Advertise string     `yaml:"advertise,omitempty"`
	Agent     AgentRoute `yaml:"agent,omitempty"`
	// Network is what ramdisk and OS configure; default: DHCP on every port.
	Network *Network `yaml:"network,omitempty"`
	// Boot is how the ramdisk hands over to the OS; default: as the image says.
	Boot core.BootMode `yaml:"boot,omitempty"`
}

// AgentRoute is for nodes whose ramdisk is in a network of its own, as a VM's is.
type AgentRoute struct {
	// Advertise is how the ramdisk reaches us; default: as the node does.
	Advertise string `yaml:"advertise,omitempty"`
	// Address is where we reach it, as host:port; default: where it checks in from.
	Address string `yaml:"address,omitempty"`
}

// BMC is a server's controller. Of CA, Fingerprint and Insecure at most one is set.
type BMC struct {
	// URL is https://host[:port].
	URL  string `yaml:"url"`
	User string `yaml:"user,omitempty"`
	// Password is a secret; or env:NAME, file:/path or exec:program, where it is found.
	Password string `yaml:"password,omitempty"`
	// CA is what the BMC's certificate is checked by, a PEM text.
	CA string `yaml:"ca,omitempty"`
	// Fingerprint is the SHA-256 that the BMC's certificate must have, in hex; default:
	// that of the one it shows at enrolment.
	Fingerprint string `yaml:"fingerprint,omitempty"`
	// Insecure leaves the certificate unchecked.
	Insecure bool `yaml:"insecure,omitempty"`
	// ConsoleKey is the fingerprint of the SSH host key at the serial console; default:
	// that of the one it shows at enrolment.
	ConsoleKey string `yaml:"console_key,omitempty"`
}

// Enrollment is what the engine is asked for to enroll the node, which Parse has
// checked.
func (n Node) Enrollment() core.Enrollment {
	network, _ := n.Network.core()
	return core.Enrollment{
		ID: n.ID, Pool: n.Pool, Labels: n.Labels,
		URL: n.BMC.URL, User: n.BMC.User, Password: n.BMC.Password,
		CA: n.BMC.CA, Fingerprint: n.BMC.Fingerprint, Insecure: n.BMC.Insecure, ConsoleKey: n.BMC.ConsoleKey,
		Address: n.Address, SSHPort: n.SSHPort, DockerPort: n.DockerPort, Advertise: n.Advertise,
		Agent: core.AgentRoute(n.Agent), Network: network, Boot: n.Boot,
	}
}

const hint = "see docs/rack-file.md for what it may hold, and docs/steps.md for steps"

// maxSize bounds what Read takes, in bytes: some ten thousands of servers.
const maxSize = 64 << 20

// Parse reads a file that lists nodes.
func Parse(r io.Reader) (File, error) {
	f, _, err := Read("", r)
	if err == nil && len(f.Nodes) == 0 {
		err = &core.Error{Op: opRead, Kind: core.Invalid, Err: errors.New("it lists no nodes"), Hint: hint}
	}
	return f, err
}

const opRead = "read rack file"

// Read reads a file strictly, and what it declares: what it does not know is an Invalid
// error with its line. name is the file's, for errors and as who declares that; "" is
// none. No error shows a value, since any might be a password in the wrong place.
func Read(name string, r io.Reader) (File, core.Declaration, error) {
	f, d, err := read(filepath.Base(name), r)
	if err != nil {
		return File{}, core.Declaration{}, &core.Error{Op: opRead, Kind: core.Invalid, Err: inFile(name, err), Hint: hint}
	}
	return f, d, nil
}

func read(base string, r io.Reader) (f File, d core.Declaration, err error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return f, d, err
	}
	if len(text) > maxSize {
		return f, d, fmt.Errorf("it has more than %s", core.Bytes(maxSize))
	}
	tree, err := decode(text, &f)
	if err != nil {
		return f, d, err
	}
	if err := f.checkDeclared(tree); err != nil {
		return f, d, err
	}
	if err := f.checkNodes(items(tree, "nodes")); err != nil {
		return f, d, err
	}
	return f, f.declaration(core.DeclaredIn(cmp.Or(f.Name, base)), tree), nil
}

func (f File) checkNodes(lines []*yaml.Node) error {
	for i, n := range f.Nodes {
		if err := n.check(); err != nil {
			return atLine(lines[i], err)
		}
		for j, other := range f.Nodes[:i] {
			switch {
			case n.ID != "" && n.ID == other.ID:
				return fmt.Errorf("line %d: node %s is listed in line %d already", lines[i].Line, n.ID, lines[j].Line)
			case n.BMC.URL == other.BMC.URL:
				return fmt.Errorf("line %d: the BMC is that of line %d", lines[i].Line, lines[j].Line)
			}
		}
	}
	return nil
}

var atLines = regexp.MustCompile(`(^|; )line (\d+): `)

// inFile names the lines of an error as editors and people do.
func inFile(name string, err error) error {
	if name == "" {
		return err
	}
	return &located{name, err}
}

// located is an error in a file of that name.
type located struct {
	name string
	err  error
}

func (l *located) Error() string {
	return atLines.ReplaceAllString(l.err.Error(), "${1}"+strings.ReplaceAll(l.name, "$", "$$")+":${2}: ")
}

func (l *located) Unwrap() error { return l.err }

// decode reads one YAML document strictly; an empty text leaves into as it is.
func decode(text []byte, into any) (*yaml.Node, error) {
	var tree yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(text))
	if err := documents.Decode(&tree); err != nil {
		if errors.Is(err, io.EOF) {
			return &tree, nil
		}
		return nil, plain(err)
	}
	if err := documents.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document is in it")
	}
	if err := checkFields(&tree, reflect.TypeOf(into)); err != nil {
		return nil, err
	}
	if err := tree.Decode(into); err != nil {
		return nil, plain(err)
	}
	return &tree, nil
}

var (
	values = regexp.MustCompile("`[^`]*` ")
	types  = regexp.MustCompile(` in type .*| into (rackfile|core)\.\w+`)
)

// plain is the parser's error without values, and without names of our types.
func plain(err error) error {
	text := err.Error()
	var wrong *yaml.TypeError
	if errors.As(err, &wrong) {
		text = strings.Join(wrong.Errors, "; ")
	}
	text = values.ReplaceAllString(text, "")
	text = types.ReplaceAllString(text, "")
	return errors.New(strings.TrimPrefix(text, "yaml: "))
}

func (n Node) check() error {
	u, err := url.Parse(n.BMC.URL)
	switch {
	case n.BMC.URL == "":
		return errors.New("bmc.url is missing")
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return errors.New("bmc.url is not of the form https://host[:port]")
	case u.User != nil:
		return errors.New("bmc.url holds a user or a password; write them as bmc.user and bmc.password")
	case count(n.BMC.CA != "", n.BMC.Fingerprint != "", n.BMC.Insecure) > 1:
		return errors.New("of bmc.ca, bmc.fingerprint and bmc.insecure only one can be")
	case n.SSHPort < 0 || n.SSHPort > 65535:
		return fmt.Errorf("ssh_port %d is not a port", n.SSHPort)
	case n.DockerPort < 0 || n.DockerPort > 65535:
		return fmt.Errorf("docker_port %d is not a port", n.DockerPort)
	}
	if n.Address != "" {
		if _, err := netip.ParseAddr(n.Address); err != nil {
			return errors.New("address is not an IP address")
		}
	}
	if err := core.AgentRoute(n.Agent).Validate(); err != nil {
		return fmt.Errorf("agent.%w", err)
	}
	if err := n.Boot.Validate(); err != nil {
		return err
	}
	network, err := n.Network.core()
	if err == nil && network != nil {
		err = network.Validate()
	}
	if err != nil {
		return fmt.Errorf("network.%w", err)
	}
	return nil
}

func count(set ...bool) int {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	return n
}

// Write writes the file to path, readable by its owner alone; an old one is replaced
// whole or not at all.
func (f File) Write(path string) error {
	text, err := yaml.Marshal(f)
	if err != nil {
		return &core.Error{Op: "write rack file", Kind: core.Internal, Err: err}
	}
	if err := renameio.WriteFile(path, text, 0o600); err != nil {
		return &core.Error{Op: "write rack file", Kind: core.Invalid, Err: err}
	}
	return nil
}
