package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
)

// check refuses a card that no node can be made of: one of a folder that was changed by
// hand, or one with ports that do not go together. No error shows a secret.
func (c card) check() error {
	address, err := netip.ParseAddr(c.Address)
	switch name := string(c.ID); {
	case name == "" || name != filepath.Base(name) || !filepath.IsLocal(name):
		return errors.New("a node's name is not one")
	case err != nil || !address.IsLoopback():
		return fmt.Errorf("node %s has no loopback address", c.ID)
	}
	if err := c.checkPorts(); err != nil {
		return fmt.Errorf("node %s: %w", c.ID, err)
	}
	if c.VM != nil {
		if err := c.VM.check(); err != nil {
			return fmt.Errorf("node %s: %w", c.ID, err)
		}
	}
	s, err := c.shape()
	if err != nil {
		return err
	}
	disks := 0
	for _, d := range s.disks {
		disks += d.count
	}
	if len(c.Parts.MACs) != len(s.nics) || len(c.Parts.Disks) != disks {
		return fmt.Errorf("node %s has %d MACs for %d network ports, and %d serial numbers for %d disks", c.ID, len(c.Parts.MACs), len(s.nics), len(c.Parts.Disks), disks)
	}
	return nil
}

// checkPorts: what listens at one address listens at different ports.
func (c card) checkPorts() error {
	type use struct {
		what string
		port int
	}
	uses := []use{{"BMC", c.BMCPort}, {"SSH", c.SSHPort}, {"Docker Engine", c.DockerPort}}
	if c.ConsolePort != 0 {
		uses = append(uses, use{"serial console", c.ConsolePort})
	}
	if c.VM != nil {
		uses = append(uses, use{"agent", c.VM.AgentPort})
	}
	taken := map[int]string{}
	for _, u := range uses {
		if u.port < 1 || u.port > 65535 {
			return fmt.Errorf("the port of its %s, %d, is none", u.what, u.port)
		}
		if other := taken[u.port]; other != "" {
			return fmt.Errorf("%s and %s cannot both have port %d", other, u.what, u.port)
		}
		taken[u.port] = u.what
	}
	return nil
}

// check refuses hardware that no VM can have.
func (c *vmCard) check() error {
	if err := (VM{CPUs: c.CPUs, Memory: c.Memory, Disks: c.Disks, CD: c.CD}).check(); err != nil {
		return err
	}
	if c.CPUs == 0 || c.Memory == 0 || c.CD == "" || len(c.Disks) == 0 || len(c.Ports) == 0 {
		return errors.New("a VM needs processors, memory, a CD drive, a disk and a network port")
	}
	for _, p := range c.Ports {
		if p.Model == "" || strings.ContainsAny(p.Model, ",= ") {
			return fmt.Errorf("%q is no model of a network card", p.Model)
		}
	}
	return nil
}
