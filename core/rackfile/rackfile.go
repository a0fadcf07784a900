// Package rackfile is the file that describes a rack: all that its operator declares, for
// `metalpool apply`, and of that the servers, for `metalpool node enroll --from`. The lab
// writes one of itself.
//
// It may hold BMC passwords, so it is written for its owner's eyes alone.
package rackfile

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core"
)

// File is a rack.
type File struct {
	// Name is who declares what the file does: files of one name change what each other
	// has declared. Default: the file, by its name and its folder.
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

const hint = "see 'metalpool help rack-file' for what it may hold, and 'metalpool help steps' for steps"

// maxSize bounds what Read takes, in bytes: some ten thousands of servers.
const maxSize = 64 << 20

// Parse reads a file that lists nodes.
func Parse(r io.Reader) (File, error) {
	rack, err := Read("", r)
	if err == nil && len(rack.Nodes) == 0 {
		err = &core.Error{Op: opRead, Kind: core.Invalid, Err: errors.New("it lists no nodes"), Hint: hint}
	}
	return rack.File, err
}

const opRead = "read rack file"

var atLine = regexp.MustCompile(`^line (\d+): `)

// decode reads one YAML document strictly; an empty text leaves into as it is. What of it
// does not fit is said of wrong, and left out.
func decode(text []byte, into any, wrong *faults) (*yaml.Node, error) {
	var tree yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(text))
	if err := documents.Decode(&tree); err != nil {
		if errors.Is(err, io.EOF) {
			return &tree, nil
		}
		wrong.parser(err)
		return &tree, wrong.err()
	}
	if err := documents.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document is in it")
	}
	if n := overfull(&tree); n != nil {
		wrong.at(n, "a mapping has %d keys, and the most is %d", len(n.Content)/2, maxKeys)
		return &tree, wrong.err()
	}
	checkFields(&tree, reflect.TypeOf(into), wrong)
	if err := tree.Decode(into); err != nil {
		wrong.parser(err)
		return &tree, wrong.err()
	}
	return &tree, nil
}

// maxKeys bounds those of one mapping: the parser compares each with all others, which for
// 100,000 takes minutes. No server has as many BIOS attributes.
const maxKeys = 5000

// overfull is the first mapping that has more keys; nil where there is none.
func overfull(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.MappingNode && len(n.Content)/2 > maxKeys {
		return n
	}
	for _, part := range n.Content {
		if found := overfull(part); found != nil {
			return found
		}
	}
	return nil
}

// parser tells the parser's error, without values and without names of our types.
func (f *faults) parser(err error) {
	texts := []string{err.Error()}
	var types *yaml.TypeError
	if errors.As(err, &types) {
		texts = types.Errors
	}
	for _, text := range texts {
		text = strings.TrimPrefix(plain(text), "yaml: ")
		one := fault{text: text}
		if at := atLine.FindStringSubmatch(text); at != nil {
			one.line, _ = strconv.Atoi(at[1])
			one.text = strings.TrimPrefix(text, at[0])
		}
		f.all = append(f.all, one)
	}
}

var (
	values = regexp.MustCompile("`[^`]*` ")
	types  = regexp.MustCompile(` in type .*| into (rackfile|core)\.\w+`)
)

// plain is a text of the parser's without values, and without names of our types.
func plain(text string) string {
	return types.ReplaceAllString(values.ReplaceAllString(text, ""), "")
}
