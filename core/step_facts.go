package core

import (
	"bytes"
	"fmt"
	"strings"
)

// Facts are what templates of steps see. There are no secrets among them.
type Facts struct {
	Node    NodeFacts
	Machine MachineFacts
	Pool    string
	Attempt string // its ID: new for each deploy
}

// NodeFacts is a server, to templates.
type NodeFacts struct {
	ID     string
	Serial string
	UUID   string
	Arch   string
	CPUs   int
	Memory int64    // bytes
	MACs   []string // of its ports
	Labels map[string]string
}

// MachineFacts is what runs on it, to templates.
type MachineFacts struct {
	ID       string // of the allocation
	Name     string
	Owner    string
	Hostname string
	Image    string
	Address  string
	SSHPort  int
	SSHUser  string
	Labels   map[string]string
}

// expand fills facts into a template of text/template, which has neither files nor the
// environment. Of facts some may not be known yet: a map has those that are. secret finds
// what {{secret "NAME"}} asks for. Errors name no value.
func expand(facts any, text string, secret func(name string) (string, error), spent *effort) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	t, err := parseTemplate(text, secret, spent)
	if err == nil {
		var b bounded
		if err = t.Execute(&b, facts); err == nil {
			return b.String(), nil
		}
	}
	return "", templateFault(err)
}

// checkTemplate looks whether a template can be filled in, but for labels that only some
// nodes have.
func checkTemplate(text string, secrets map[string]Reference, spent *effort) error {
	_, _, err := sample(text, standIn(secrets), spent)
	return err
}

// sample is a template filled in with stand-ins; whole is false where it asks for what only
// some nodes have.
func sample(text string, secret func(name string) (string, error), spent *effort) (filled string, whole bool, err error) {
	const x = "x"
	facts := Facts{
		Node:    NodeFacts{ID: x, Serial: x, UUID: x, Arch: x, CPUs: 1, Memory: 1, MACs: []string{x, x, x, x}},
		Machine: MachineFacts{ID: x, Name: x, Owner: x, Hostname: x, Image: x, Address: x, SSHPort: 1, SSHUser: x},
		Pool:    x, Attempt: x,
	}
	filled, err = expand(facts, text, secret, spent)
	if lacksFact(err) {
		return "", false, nil
	}
	return filled, err == nil, err
}

// standIn gives out no secrets, but tells which there are, and one from another.
func standIn(secrets map[string]Reference) func(name string) (string, error) {
	return func(name string) (string, error) {
		if _, there := secrets[name]; !there {
			return "", fmt.Errorf("there is no secret %q", name)
		}
		return "secret-" + name, nil
	}
}

// lacksFact reports whether a template asked for something that a map of facts, or of
// labels, does not have.
func lacksFact(err error) bool {
	return err != nil && strings.Contains(err.Error(), "map has no entry for key")
}

// bounded is a buffer that takes no more than maxExpanded.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if Bytes(b.Len()+len(p)) > maxExpanded {
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}
