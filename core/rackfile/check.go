package rackfile

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core"
)

// maxName bounds what a file is called, in bytes.
const maxName = 64

// CheckName tells what is wrong with what a file is called; "" is its own name.
func CheckName(name string) error {
	switch {
	case len(name) > maxName || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("name is not one line of at most %d bytes", maxName)
	case strings.HasPrefix(name, "/"):
		return errors.New("name begins with a slash, as only the place of a file does")
	}
	return nil
}

// check looks at all that a file holds, each thing by itself.
func (f File) check(tree *yaml.Node, wrong *faults) {
	if err := CheckName(f.Name); err != nil {
		wrong.at(under(tree.Content[0], "name"), "%s", err)
	}
	each(tree, "image", f.Images, func(i core.ImageDeclaration) string { return i.Name }, wrong, func(i core.ImageDeclaration) error { return core.CheckImageName(i.Name) })
	each(tree, "step", f.Steps, func(s core.Step) string { return s.Name }, wrong, core.Step.Validate)
	each(tree, "profile", f.Profiles, func(p core.Profile) string { return p.Name }, wrong, core.Profile.Validate)
	each(tree, "pool", f.Pools, func(p core.PoolDeclaration) string { return p.Name }, wrong, core.PoolDeclaration.Validate)
	f.checkNodes(items(tree, "nodes"), wrong)
}

// each looks at the things of one kind. What is wrong in one of them already is left at
// that.
func each[T any](tree *yaml.Node, of string, all []T, name func(T) string, wrong *faults, check func(T) error) {
	written := items(tree, of+"s")
	lines := map[string]int{}
	for i, one := range all {
		if wrong.within(written[i]) {
			continue
		}
		if err := check(one); err != nil {
			found := core.FaultOf(of, name(one), err)
			line, column := place(written[i], found.Remark)
			wrong.all = append(wrong.all, fault{line, column, described(found)})
			continue
		}
		if line, twice := lines[name(one)]; twice {
			wrong.at(written[i], "%s %s is declared in line %d already", of, name(one), line)
		}
		lines[name(one)] = written[i].Line
	}
}

func (f File) checkNodes(lines []*yaml.Node, wrong *faults) {
	ids, urls := map[core.NodeID]int{}, map[string]int{} // to the lines of the first
	for i, n := range f.Nodes {
		sameID, listed := ids[n.ID]
		if !listed {
			ids[n.ID] = lines[i].Line
		}
		sameURL, placed := urls[n.BMC.URL]
		if !placed {
			urls[n.BMC.URL] = lines[i].Line
		}
		if wrong.within(lines[i]) {
			continue
		}
		n.check(func(part string, err error) {
			at := lines[i]
			if section, field, _ := strings.Cut(part, "."); part != "" {
				line, column := place(at, core.Remark{Path: strings.Fields(section + " " + field)})
				at = &yaml.Node{Line: line, Column: column}
			}
			wrong.at(at, "%s", err)
		})
		switch {
		case n.ID != "" && listed:
			wrong.at(lines[i], "node %s is listed in line %d already", n.ID, sameID)
		case n.BMC.URL != "" && placed:
			wrong.at(lines[i], "the BMC is that of line %d", sameURL)
		}
	}
}

// check tells what is wrong with a node, and in which part: "bmc.url" say.
func (n Node) check(tell func(part string, err error)) {
	u, err := url.Parse(n.BMC.URL)
	switch {
	case n.BMC.URL == "":
		tell("bmc.url", errors.New("bmc.url is missing"))
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		tell("bmc.url", errors.New("bmc.url is not of the form https://host[:port]"))
	case u.User != nil:
		tell("bmc.url", errors.New("bmc.url holds a user or a password; write them as bmc.user and bmc.password"))
	}
	if count(n.BMC.CA != "", n.BMC.Fingerprint != "", n.BMC.Insecure) > 1 {
		tell("bmc", errors.New("of bmc.ca, bmc.fingerprint and bmc.insecure only one can be"))
	}
	if n.SSHPort < 0 || n.SSHPort > 65535 {
		tell("ssh_port", fmt.Errorf("ssh_port %d is not a port", n.SSHPort))
	}
	if n.DockerPort < 0 || n.DockerPort > 65535 {
		tell("docker_port", fmt.Errorf("docker_port %d is not a port", n.DockerPort))
	}
	if n.Address != "" {
		if _, err := netip.ParseAddr(n.Address); err != nil {
			tell("address", errors.New("address is not an IP address"))
		}
	}
	if err := core.AgentRoute(n.Agent).Validate(); err != nil {
		tell("agent", fmt.Errorf("agent.%w", err))
	}
	if err := n.Boot.Validate(); err != nil {
		tell("boot", err)
	}
	network, err := n.Network.core()
	if err == nil && network != nil {
		err = network.Validate()
	}
	if err != nil {
		tell("network", fmt.Errorf("network.%w", err))
	}
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

// described is a fault whose place is told already: of a text's line that is the line.
func described(f core.Fault) string {
	if len(f.Path) > 0 {
		f.Line = 0
	}
	return f.String()
}
