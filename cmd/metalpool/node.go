package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

func nodeCommand(a *app) *cobra.Command {
	return noun("node", "Enroll servers, see how they are, take them aside",
		nodeEnrollCommand(a), nodeListCommand(a), nodeShowCommand(a), nodeSetCommand(a),
		nodeBIOSCommand(a), nodeDriftCommand(a), nodeRepairCommand(a), nodeMaintenanceCommand(a), nodeRetireCommand(a), nodeEventsCommand(a), nodeConsoleCommand(a))
}

func nodeListCommand(a *app) *cobra.Command {
	var (
		filter nodeFilter
		o      outputFlag
	)
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List nodes, with what they are and whose they are",
		Example: `  metalpool node list --state Quarantined
  metalpool node list --label 'rack=r1,gpu exists' -o json`,
		Args: exactly(),
		RunE: a.reads(func(ctx context.Context, e core.Operator, _ []string) error {
			nodes, err := filter.nodes(ctx, e)
			if err != nil {
				return err
			}
			holders, err := machinesByNode(ctx, e)
			if err != nil {
				return err
			}
			steps, err := stepsUnderWay(ctx, e)
			if err != nil {
				return err
			}
			if o.json() {
				views := make([]nodeView, len(nodes))
				for i, n := range nodes {
					views[i] = viewNode(n, holders[n.ID])
					views[i].Step = steps[n.ID]
				}
				return a.printJSON(views)
			}
			if len(nodes) == 0 {
				hint := "; enroll some with 'metalpool node enroll'"
				if pool := a.runningLab(ctx); pool != "" {
					hint += ". A lab runs, whose pool is another: export METALPOOL_URL=" + shellWord(pool)
				}
				a.note("no nodes%s", either(filter.some(), " that fit", hint))
				return nil
			}
			t := a.table("NODE", "STATE", "POOL", "MACHINE", "CPUS", "MEMORY", "DISKS", "ERASES", "SINCE", "WHY").
				sparing("ERASES", "DISKS", "MEMORY", "CPUS", "POOL", "SINCE")
			now := time.Now()
			for _, n := range nodes {
				t.row(string(n.ID), string(n.State), n.Pool, holders[n.ID].label(), count(n.Hardware.CPUs), sizeText(n.Hardware.Memory),
					diskSummary(n.Hardware.Disks), number(n.Erases), age(now, n.Since), brief(joined(steps[n.ID], whyNode(n))))
			}
			return t.print(a.out)
		}),
	}
	filter.add(cmd, a)
	o.add(cmd)
	return cmd
}

// whyNode is what an operator should know of a node besides its state.
func whyNode(n core.Node) string {
	var parts []string
	if n.Suspect {
		parts = append(parts, "suspect")
	}
	if n.Reason != "" && (n.State != core.Available || n.Refused()) {
		parts = append(parts, n.Reason)
	}
	if n.Spec.EraseFault != "" && n.State != core.Quarantined { // there it is the reason
		parts = append(parts, n.Spec.EraseFault)
	}
	if n.Spec.Unreachable != "" {
		// The fault may be of who called: the node is kept out only once another one
		// answered where it did not.
		parts = append(parts, "was unreachable "+n.Spec.Unreachable+either(n.State == core.Available, "; it stays Available, and the next create asks it again", ""))
	}
	return joined(parts...)
}

// joined puts what is to be said of a node or machine side by side.
func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "; ")
}

// machinesByNode finds who holds which node.
func machinesByNode(ctx context.Context, e core.Operator) (map[core.NodeID]holder, error) {
	machines, err := e.Machines(ctx, core.AllocationFilter{Live: true})
	if err != nil {
		return nil, err
	}
	holders := make(map[core.NodeID]holder, len(machines))
	for _, m := range machines {
		if m.Node != "" {
			holders[m.Node] = holder{m}
		}
	}
	return holders, nil
}

// holder is the machine that a node is, or nothing.
type holder struct{ core.Machine }

// label is what every command takes as the machine's name.
func (h holder) label() string {
	if h.ID == "" {
		return ""
	}
	return h.Owner + "/" + h.Name
}

func nodeShowCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:               "show NODE",
		Short:             "Show one node: its hardware, its BMC, whose it is, what happened last",
		Example:           "  metalpool node show r1-n7",
		Args:              exactly("NODE"),
		ValidArgsFunction: a.completeArgs(nodeIDs),
		RunE: a.reads(func(ctx context.Context, e core.Operator, args []string) error {
			n, err := e.Node(ctx, core.NodeID(args[0]))
			if err != nil {
				return err
			}
			var h holder
			if n.Allocation != "" {
				if h.Machine, err = e.Machine(ctx, n.Allocation); err != nil {
					return err
				}
			}
			steps, err := stepsUnderWay(ctx, e)
			if err != nil {
				return err
			}
			if o.json() {
				v := viewNode(n, h)
				v.Step = steps[n.ID]
				return a.printJSON(v)
			}
			events, err := e.Events(ctx, core.EventFilter{Node: n.ID, Limit: 8})
			if err != nil {
				return err
			}
			if err := describeNode(a, n, h, steps[n.ID]).print(a.out); err != nil {
				return err
			}
			if _, err := fmt.Fprintln(a.out); err != nil {
				return err
			}
			return a.story(events, false, true)
		}),
	}
	o.add(cmd)
	return cmd
}

func describeNode(a *app, n core.Node, h holder, step string) *sheet {
	s := a.sheet()
	hw, spec := n.Hardware, n.Spec
	s.line("Node", string(n.ID))
	s.line("State", fmt.Sprintf("%s since %s (%s)", n.State, stamp(n.Since), age(time.Now(), n.Since)))
	s.line("Step", step)
	s.line("Why", whyNode(n))
	s.line("Pool", n.Pool)
	if h.ID != "" {
		s.line("Machine", fmt.Sprintf("%s (%s)", h.label(), h.ID))
	}
	s.line("Labels", labelText(spec.Labels))
	s.line("Server", strings.TrimSpace(hw.Manufacturer+" "+hw.Model))
	s.line("Serial", spec.Identity.Serial)
	s.line("UUID", spec.Identity.UUID)
	s.line("CPUs", strings.TrimSpace(count(hw.CPUs)+" "+hw.Arch))
	s.line("Memory", sizeText(hw.Memory))
	for _, d := range hw.Disks {
		removable := either(d.Removable, "removable", "")
		s.line("Disk", words(cmp.Or(d.Serial, d.WWN), core.DiskSize(d.Size), string(d.Kind), d.Model, removable, d.Path))
	}
	if spec.RAID != nil {
		for _, v := range spec.RAID.Volumes {
			s.line("Volume", words(v.Name, v.RAID, core.DiskSize(v.Size), "of", strings.Join(v.Drives, ", ")))
		}
	}
	for _, nic := range hw.NICs {
		s.line("NIC", words(nic.MAC, speed(nic.Mbps), either(nic.LinkUp, "up", "down"), nic.Address))
	}
	for _, g := range hw.GPUs {
		s.line("GPU", g.Model)
	}
	s.line("BIOS", hw.BIOS)
	s.line("BMC", words(publicURL(spec.BMC.URL), either(spec.BMC.User != "", "as "+spec.BMC.User, ""), "("+spec.BMC.Backend+")"))
	s.line("Password", string(spec.BMC.PasswordFrom))
	s.line("Certificate", checkText(spec.BMC.TLS))
	s.line("Console key", spec.BMC.ConsoleKey)
	s.line("Address", spec.Address)
	s.line("SSH port", count(spec.SSHPort))
	s.line("Docker port", count(spec.DockerPort))
	s.line("Advertise", spec.Advertise)
	s.line("Agent", words(spec.Agent.Address, either(spec.Agent.Advertise != "", "reaches us at "+spec.Agent.Advertise, "")))
	describeNetwork(s, spec.Network)
	s.line("Boot", words(string(spec.Boot), either(spec.BootWhy != "", "("+spec.BootWhy+")", "")))
	s.line("Declared by", string(spec.DeclaredBy))
	s.line("Erased", plural(n.Erases, "time"))
	s.line("Erase fault", spec.EraseFault)
	for _, e := range spec.Erasures {
		s.line("Erased", fmt.Sprintf("%s: %s by %s, %s", e.Disk, e.Class, e.Method, stamp(e.At)))
	}
	return s
}

// checkText says how the BMC's certificate is checked.
func checkText(c core.TLSCheck) string {
	switch {
	case c.Insecure:
		return "not checked (--insecure)"
	case c.CA != "":
		return "by a CA of its own"
	case c.Fingerprint != "":
		return "sha256 " + c.Fingerprint
	}
	return ""
}
