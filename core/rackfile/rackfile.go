// Package rackfile is the file that describes a rack: its servers, for
// `metalpool node enroll --from`, and what its operator declares, for `metalpool apply`.
// The lab writes one of itself.
//
// It holds BMC passwords, so it is written for its owner's eyes alone.
package rackfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"strings"

	"github.com/google/renameio/v2"
	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core"
)

// File is a rack.
type File struct {
	Nodes        []Node `yaml:"nodes,omitempty"`
	Declarations `yaml:",inline"`
}

// Node is one server. All but the BMC's URL may be left out; what that means is
// said at core.Enrollment.
type Node struct {
	ID         core.NodeID       `yaml:"id,omitempty"`
	BMC        BMC               `yaml:"bmc"`
	Pool       string            `yaml:"pool,omitempty"`
	Labels     map[string]string `yaml:"labels,omitempty"`
	Address    string            `yaml:"address,omitempty"`
	SSHPort    int               `yaml:"ssh_port,omitempty"`
	DockerPort int               `yaml:"docker_port,omitempty"`
	Advertise  string            `yaml:"advertise,omitempty"`
	Agent      AgentRoute        `yaml:"agent,omitempty"`
	Network    *Network          `yaml:"network,omitempty"`
	Boot       core.BootMode     `yaml:"boot,omitempty"`
}

// AgentRoute is said at core.AgentRoute.
type AgentRoute struct {
	Advertise string `yaml:"advertise,omitempty"`
	Address   string `yaml:"address,omitempty"` // host:port
}

// BMC is a server's controller. Of CA, Fingerprint and Insecure at most one is set.
type BMC struct {
	URL         string `yaml:"url"` // https://host[:port]
	User        string `yaml:"user,omitempty"`
	Password    string `yaml:"password,omitempty"`    // a secret
	CA          string `yaml:"ca,omitempty"`          // PEM text
	Fingerprint string `yaml:"fingerprint,omitempty"` // SHA-256 of the certificate, hex
	Insecure    bool   `yaml:"insecure,omitempty"`
	ConsoleKey  string `yaml:"console_key,omitempty"` // fingerprint of the console's SSH host key
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

const hint = "see docs/rack-file.md for what it may hold"

// maxSize bounds what Parse takes, in bytes: some ten thousands of servers.
const maxSize = 64 << 20

// Parse reads a file strictly: what it does not know is an Invalid error with its
// line. No error shows a value, since any might be a password in the wrong place.
func Parse(r io.Reader) (File, error) {
	invalid := func(err error) (File, error) {
		return File{}, &core.Error{Op: "read rack file", Kind: core.Invalid, Err: err, Hint: hint}
	}
	f, text, err := readFile(r)
	if err != nil {
		return invalid(err)
	}
	if len(f.Nodes) == 0 {
		return invalid(errors.New("it lists no nodes"))
	}
	var lines struct {
		Nodes []yaml.Node `yaml:"nodes"`
	}
	if err := yaml.Unmarshal(text, &lines); err != nil {
		return invalid(plain(err))
	}
	for i, n := range f.Nodes {
		if err := n.check(); err != nil {
			return invalid(fmt.Errorf("line %d: %w", lines.Nodes[i].Line, err))
		}
		for j, other := range f.Nodes[:i] {
			switch {
			case n.ID != "" && n.ID == other.ID:
				return invalid(fmt.Errorf("line %d: node %s is listed in line %d already", lines.Nodes[i].Line, n.ID, lines.Nodes[j].Line))
			case n.BMC.URL == other.BMC.URL:
				return invalid(fmt.Errorf("line %d: the BMC is that of line %d", lines.Nodes[i].Line, lines.Nodes[j].Line))
			}
		}
	}
	return f, nil
}

// readFile reads a file strictly, but for what its values mean.
func readFile(r io.Reader) (f File, text []byte, err error) {
	if text, err = io.ReadAll(io.LimitReader(r, maxSize+1)); err != nil {
		return f, nil, err
	}
	if len(text) > maxSize {
		return f, nil, fmt.Errorf("it has more than %s", core.Bytes(maxSize))
	}
	var tree yaml.Node
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return f, nil, plain(err)
	}
	if err := checkFields(&tree, reflect.TypeFor[File]()); err != nil {
		return f, nil, err
	}
	return f, text, decode(text, &f)
}

// decode reads one YAML document strictly; an empty text leaves into as it is.
func decode(text []byte, into any) error {
	strict := yaml.NewDecoder(bytes.NewReader(text))
	strict.KnownFields(true)
	if err := strict.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return plain(err)
	}
	if err := strict.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("more than one YAML document is in it")
	}
	return nil
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
