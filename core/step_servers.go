package core

import (
	"errors"
	"fmt"
	"path"
)

// StepServers are servers that a step is for: those that fit all that is said. Makers
// name BIOS attributes each in their own way, so that a rack of several makers has a step
// for each of them.
type StepServers struct {
	// Manufacturer and Model are patterns of the shell's kind, without regard to case:
	// "Dell*", "PowerEdge R6?0".
	Manufacturer string `json:"manufacturer,omitempty" yaml:"manufacturer,omitempty"`
	Model        string `json:"model,omitempty" yaml:"model,omitempty"`
	// Labels are those that the node has.
	Labels map[string]string `json:"labels,omitempty" yaml:"labels,omitempty"`
}

// maxPattern is longer than any maker's name for a server.
const maxPattern = 256

func (o *StepServers) check() error {
	if o == nil {
		return nil
	}
	for _, pattern := range []string{o.Manufacturer, o.Model} {
		if _, err := path.Match(pattern, ""); err != nil || len(pattern) > maxPattern {
			return inPart(fmt.Errorf("%q is no pattern", pattern), "only")
		}
	}
	for name, value := range o.Labels {
		if len(name) > maxPattern || len(value) > maxPattern {
			return inPart(inPart(fmt.Errorf("a label of more than %d bytes", maxPattern), "labels"), "only")
		}
	}
	if o.Manufacturer == "" && o.Model == "" && len(o.Labels) == 0 {
		return inPart(errors.New("it names no servers; leave it out for all"), "only")
	}
	return nil
}

// are reports whether a node is among them.
func (o *StepServers) are(n Node) bool {
	if o == nil {
		return true
	}
	if !like(o.Manufacturer, n.Hardware.Manufacturer) || !like(o.Model, n.Hardware.Model) {
		return false
	}
	for name, value := range o.Labels {
		if n.Spec.Labels[name] != value {
			return false
		}
	}
	return true
}

// stepsFor are those of the steps that are for a node.
func stepsFor(n Node, all []Step) (its []Step) {
	for _, s := range all {
		if s.Only.are(n) {
			its = append(its, s)
		}
	}
	return its
}
