package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
)

// machineNoun holds the commands that owners give for machines of theirs.
const machineNoun = "machine"

func machineCommand(a *app) *cobra.Command {
	return noun(machineNoun, "Take servers with an OS, use them, give them back",
		machineCreateCommand(a), machineListCommand(a), machineShowCommand(a), machineSetCommand(a), machineSSHCommand(a),
		machineLogsCommand(a), machinePowerCommand(a), machineRedeployCommand(a), machineReleaseCommand(a))
}

// ownerFlag says whose machine a bare name means.
type ownerFlag struct{ owner string }

func (o *ownerFlag) add(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVar(&o.owner, "owner", "", usage+" (METALPOOL_OWNER; default: `user@host`)")
}

func (o *ownerFlag) name() string { return cmp.Or(o.owner, core.DefaultOwner()) }

// split reads OWNER/NAME, or the NAME of one's own.
func (o *ownerFlag) split(word string) (owner, name string) {
	owner, name, both := core.SplitOwner(word)
	if !both {
		owner = o.name()
	}
	return owner, name
}

// machine finds what a word on the command line means: a machine's name, its owner
// and name, or an allocation's ID. Where others have one of that name it says so, and
// does not offer theirs: what follows may be a release.
func (o *ownerFlag) machine(ctx context.Context, e core.Operator, word string) (core.Machine, error) {
	owner, name := o.split(word)
	m, err := e.MachineNamed(ctx, owner, name)
	if !core.Is(err, core.NotFound) || name != word {
		return m, err
	}
	if m, byID := e.Machine(ctx, core.AllocationID(word)); !core.Is(byID, core.NotFound) {
		return m, byID
	}
	if others := strangers(ctx, e, word); len(others) > 0 {
		err = &core.Error{Op: "find machine", Allocation: word, Kind: core.NotFound, Err: &strangersError{o.name(), others}, Hint: "yours are in 'metalpool machine list --owner " + o.name() + "'"}
	}
	return m, err
}

// machineOrLast is machine, and where none of that name is there, the last one that was
// given back. It is for commands that only tell.
func (o *ownerFlag) machineOrLast(ctx context.Context, e core.Operator, a *app, word string) (core.Machine, error) {
	m, err := o.machine(ctx, e, word)
	if !core.Is(err, core.NotFound) {
		return m, err
	}
	owner, name := o.split(word)
	machines, listed := e.Machines(ctx, core.AllocationFilter{Owner: owner, States: []core.State{core.Released, core.Expired}})
	if listed == nil {
		for _, ended := range slices.Backward(machines) {
			if ended.Name == name {
				a.note("%s has no machine %s any more; this is the last one of that name", ended.Owner, name)
				return ended, nil
			}
		}
	}
	var known *strangersError
	if found, ok := errors.AsType[*core.Error](err); ok && errors.As(err, &known) {
		found.Hint = "did you mean " + strings.Join(known.others, " or ") + "?"
	}
	return m, err
}

// strangersError is that others have a machine of the name that was asked for.
type strangersError struct {
	owner  string
	others []string // as OWNER/NAME
}

func (s *strangersError) Error() string {
	return fmt.Sprintf("%s has no machine of this name; there is %s", s.owner, strings.Join(s.others, " and "))
}

// strangers lists who has a machine of that name.
func strangers(ctx context.Context, e core.Operator, name string) (others []string) {
	machines, err := e.Machines(ctx, core.AllocationFilter{Live: true})
	if err != nil {
		return nil // that there is no machine of the caller's own is true without it
	}
	for _, m := range machines {
		if m.Name == name {
			others = append(others, holder{m}.label())
		}
	}
	return others
}

func machineListCommand(a *app) *cobra.Command {
	var (
		owner, pool string
		states      statesFlag
		all         bool
		orphans     string
		without     string
		o           outputFlag
	)
	known := []core.State{core.Waiting, core.Allocated, core.Deploying, core.Deployed, core.Failed, core.Released, core.Expired}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List machines, everybody's",
		Long: `List shows the machines of the pool, everybody's; through a server a user sees his own.

With --orphans it shows those whose owner has not been seen for a week, or for as long
as it says. An owner is seen when he asks for something: with docker-machine, with
terraform, with 'metalpool machine', or through a server with his token.

With --without it shows those that are deployed and have not that step: it was declared
after they were made, their profile does not choose it, or it was gone on without. Those
on servers that it is not for are left out. They have it once they are deployed again,
which 'metalpool machine redeploy' does.`,
		Example: `  metalpool machine list
  metalpool machine list --without monitoring-agent
  metalpool machine list --owner ci --state Failed
  metalpool machine list --orphans=72h`,
		Args: exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			unseen, err := core.ParseDuration("--orphans", orphans)
			if err != nil {
				return asUsage(err)
			}
			return a.look(ctx, open.Options{}, func(ctx context.Context, e core.Operator) error {
				machines, err := e.Machines(ctx, core.AllocationFilter{Owner: owner, Pool: pool, States: states.asked, Live: !all && len(states.asked) == 0})
				if err != nil {
					return err
				}
				if orphans != "" {
					machines = core.OrphansOf(machines, time.Now(), unseen)
				}
				if without != "" {
					step, err := stepNamed(ctx, e, without)
					if err != nil {
						return err
					}
					nodes, err := e.Nodes(ctx, core.NodeFilter{})
					if err != nil {
						return err
					}
					machines = core.Without(machines, nodes, step)
				}
				if o.json() {
					return a.printJSON(list(machines))
				}
				if len(machines) == 0 {
					a.note("no machines%s", either(owner+pool+orphans+without == "" && len(states.asked) == 0, "; take one with 'metalpool machine create'", " that fit"))
					return nil
				}
				if orphans != "" {
					return a.orphanTable(machines)
				}
				steps, err := stepsUnderWay(ctx, e)
				if err != nil {
					return err
				}
				return a.machineTable(machines, steps)
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&orphans, "orphans", "", "only those whose owner was not seen for so `long`")
	f.Lookup("orphans").NoOptDefVal = "168h"
	f.StringVar(&without, "without", "", "only those that have not this `step`, declared since or gone on without")
	f.StringVar(&owner, "owner", "", "only those of this `owner`")
	f.StringVar(&pool, "pool", "", "only those of this `pool`")
	f.BoolVar(&all, "all", false, "also those that were given back")
	o.add(cmd)
	completeWith(cmd, "pool", a, poolNames)
	states.add(cmd, known, "only those in these `states`, such as Failed,Released")
	return cmd
}

// stepNamed refuses a step that nobody has declared: every machine would be without it.
func stepNamed(ctx context.Context, e core.Operator, name string) (core.Step, error) {
	steps, err := e.Steps(ctx)
	if err != nil {
		return core.Step{}, err
	}
	var there []string
	for _, s := range steps {
		if s.Name == name {
			return s, nil
		}
		there = append(there, s.Name)
	}
	hint := "none is declared"
	if len(there) > 0 {
		hint = "there are: " + strings.Join(there, ", ")
	}
	return core.Step{}, &core.Error{Op: "find step", Kind: core.NotFound, Err: fmt.Errorf("there is no step %q", name), Hint: hint}
}

// machineTable prints machines; steps is how far those are that are being deployed.
func (a *app) machineTable(machines []core.Machine, steps map[core.NodeID]string) error {
	t := a.table("MACHINE", "STATE", "NODE", "ADDRESS", "USER", "IMAGE", "POOL", "AGE", "ID", "WHY").sparing("IMAGE", "POOL", "USER", "AGE", "ADDRESS")
	now := time.Now()
	for _, m := range machines {
		why := m.Reason
		switch m.State {
		case core.Deployed:
			why = ""
			if !m.Until.IsZero() {
				why = "until " + stamp(m.Until)
			}
		case core.Deploying:
			why = joined(steps[m.Node], why)
		}
		if m.State.Ended() {
			m.Access = core.Access{} // by now it may be another machine's
		}
		t.row(holder{m}.label(), string(m.State), string(m.Node), address(m.Access), m.Access.SSHUser, m.Image, m.Pool,
			age(now, m.CreatedAt), string(m.ID), brief(why))
	}
	return t.print(a.out)
}

// orphanTable prints machines nobody may need any more, and how to give them back for
// their owners.
func (a *app) orphanTable(machines []core.Machine) error {
	t := a.table("MACHINE", "OWNER SEEN", "STATE", "NODE", "POOL", "AGE", "UNTIL", "ID").sparing("POOL", "UNTIL", "AGE", "NODE")
	now := time.Now()
	for _, m := range machines {
		seen := "never"
		if !m.OwnerSeen.IsZero() {
			seen = ago(now, m.OwnerSeen)
		}
		t.row(holder{m}.label(), seen, string(m.State), string(m.Node), m.Pool, age(now, m.CreatedAt), stamp(m.Until), string(m.ID))
	}
	if err := t.print(a.out); err != nil {
		return err
	}
	a.note("to give one back for its owner: metalpool machine release %s --reason '...'", holder{machines[0]}.label())
	return nil
}

// address is where a machine's SSH is, with the port unless it is 22.
func address(at core.Access) string {
	if at.Address == "" || at.SSHPort == 0 || at.SSHPort == 22 {
		return at.Address
	}
	return net.JoinHostPort(at.Address, strconv.Itoa(at.SSHPort))
}

func machineShowCommand(a *app) *cobra.Command {
	var (
		owner ownerFlag
		o     outputFlag
	)
	cmd := &cobra.Command{
		Use:               "show MACHINE",
		Short:             "Show one machine: how to reach it, and where its time went",
		Long:              "Show tells about one machine. " + machineWords,
		Example:           "  metalpool machine show web-1",
		Args:              exactly("MACHINE"),
		ValidArgsFunction: a.completeArgs(machineNames),
		RunE: a.reads(func(ctx context.Context, e core.Operator, args []string) error {
			m, err := owner.machineOrLast(ctx, e, a, args[0])
			if err != nil {
				return err
			}
			return a.showMachine(ctx, e, m, o)
		}),
	}
	owner.add(cmd, "whose machine a name means")
	o.add(cmd)
	return cmd
}

const machineWords = "MACHINE is the name of one of yours, OWNER/NAME for somebody else's, or an ID."

func (a *app) showMachine(ctx context.Context, e core.Operator, m core.Machine, o outputFlag) error {
	events, err := e.Events(ctx, core.EventFilter{Allocation: m.ID})
	if err != nil {
		return err
	}
	spent, step := phases(events), ""
	if m.State == core.Deploying {
		steps, err := stepsUnderWay(ctx, e)
		if err != nil {
			return err
		}
		step = steps[m.Node]
	}
	if o.json() {
		return a.printJSON(machineView{m, step, list(spent)})
	}
	s := a.sheet()
	s.line("Machine", holder{m}.label())
	s.line("ID", string(m.ID))
	s.line("State", string(m.State))
	s.line("Step", step)
	s.line("Why", m.Reason)
	s.line("Node", string(m.Node))
	s.line("Pool", m.Pool)
	s.line("Image", m.Image)
	s.line("Profile", m.Profile)
	s.line("Steps", strings.Join(m.Steps, ", "))
	s.line("Labels", labelText(peoplesLabels(m.Labels)))
	if m.Access.Address != "" {
		s.line("SSH", words(m.Access.SSHUser, "at", address(m.Access)))
		s.line("Docker", net.JoinHostPort(m.Access.Address, strconv.Itoa(m.Access.DockerPort)))
	}
	for _, key := range m.Access.HostKeys {
		s.line("Host key", key)
	}
	if m.Managed {
		s.line("Management key", "kept; its keys can be changed while it runs")
	}
	for _, moved := range m.Moves {
		s.line("Failed nodes", string(moved))
	}
	s.line("Created", stamp(m.CreatedAt))
	s.line("Until", stamp(m.Until))
	s.line("Ended", stamp(m.EndedAt))
	if err := s.print(a.out); err != nil || len(spent) == 0 {
		return err
	}
	t := a.table("PHASE", "NODE", "BEGAN", "TOOK", "MOVED").sparing("BEGAN")
	for _, p := range spent {
		t.row(p.Name+either(p.Failed, " (failed)", ""), string(p.Node), stamp(p.Began), took(p.took()), p.moved())
	}
	if _, err := fmt.Fprintln(a.out); err != nil {
		return err
	}
	return t.print(a.out)
}

func machineLogsCommand(a *app) *cobra.Command {
	var (
		owner ownerFlag
		flags eventsFlags
	)
	cmd := &cobra.Command{
		Use:               "logs MACHINE",
		Short:             "Tell what happened to a machine, on whichever nodes",
		Long:              "Logs tells a machine's events, those of its clean included. " + machineWords,
		Example:           "  metalpool machine logs web-1 -f\n  metalpool machine logs alice/web-1 --since 2h",
		Args:              exactly("MACHINE"),
		ValidArgsFunction: a.completeArgs(machineNames),
		RunE: a.reads(func(ctx context.Context, e core.Operator, args []string) error {
			m, err := owner.machineOrLast(ctx, e, a, args[0])
			if err != nil {
				return err
			}
			return a.tell(ctx, e, core.EventFilter{Allocation: m.ID}, flags, machineGone(e, m.ID))
		}),
	}
	owner.add(cmd, "whose machine a name means")
	flags.add(cmd)
	return cmd
}

func machinePowerCommand(a *app) *cobra.Command {
	verbs := []string{string(core.TurnOn), string(core.TurnOff), string(core.ShutDown), string(core.PowerRestart)}
	var owner ownerFlag
	cmd := &cobra.Command{
		Use:   "power MACHINE [on|off|shutdown|restart]",
		Short: "Read a machine's power, or turn it",
		Long: `Without a verb, power prints what the BMC says now. off is at once; shutdown asks
the OS, and falls back to off when it does not listen. ` + machineWords,
		Example: "  metalpool machine power web-1\n  metalpool machine power web-1 restart",
		Args:    exactly("MACHINE", "[VERB]"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return a.find(cmd, machineNames), cobra.ShellCompDirectiveNoFileComp
			}
			return verbs, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: a.run(func(ctx context.Context, args []string) error {
			verb := ""
			if len(args) == 2 {
				if verb = args[1]; !slices.Contains(verbs, verb) {
					return usagef("%q is none of %s", verb, strings.Join(verbs, ", "))
				}
			}
			opened := a.with
			if verb == "" {
				opened = a.look
			}
			return opened(ctx, open.Options{}, func(ctx context.Context, e core.Operator) error {
				m, err := owner.machine(ctx, e, args[0])
				if err != nil {
					return err
				}
				return a.power(ctx, e, m.ID, core.PowerVerb(verb))
			})
		}),
	}
	owner.add(cmd, "whose machine a name means")
	return cmd
}

// power turns the power, where there is a verb, and prints what the BMC says then.
func (a *app) power(ctx context.Context, e core.Operator, id core.AllocationID, verb core.PowerVerb) error {
	if verb != "" {
		if err := e.SetPower(ctx, id, verb); err != nil {
			return err
		}
	}
	state, err := e.Power(ctx, id)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.out, state)
	return err
}

func machineReleaseCommand(a *app) *cobra.Command {
	var (
		owner   ownerFlag
		options core.ReleaseOptions
	)
	cmd := &cobra.Command{
		Use:     "release MACHINE...",
		Aliases: []string{"rm"},
		Short:   "Give machines back: they are switched off, and erased",
		Long: `Release gives machines up, whatever state they are in. It returns once the server
was switched off and read back as off; it is erased by a worker in the background,
or with --wait before release returns. ` + machineWords,
		Example:           "  metalpool machine release web-1 web-2\n  metalpool machine release web-1 --wait",
		Args:              some("MACHINE"),
		ValidArgsFunction: a.completeArgs(machineNames),
		RunE: a.onPool(func(ctx context.Context, e core.Operator, args []string) error {
			p := a.progress()
			defer p.stop()
			return each(ctx, p.fail, changeParallel, "released", args, func(ctx context.Context, word string) error {
				m, err := owner.machine(ctx, e, word)
				if err != nil {
					return err
				}
				if err := e.Release(ctx, m.ID, options, p.report); err != nil {
					return err
				}
				return a.sayReleased(ctx, e, m, options.WaitClean, p)
			})
		}),
	}
	owner.add(cmd, "whose machine a name means")
	cmd.Flags().BoolVar(&options.WaitClean, "wait", false, "until the node is erased, and Available or Quarantined")
	cmd.Flags().StringVar(&options.Reason, "reason", "", "`why`, for the events")
	return cmd
}

// sayReleased tells what became of the node.
func (a *app) sayReleased(ctx context.Context, e core.Operator, m core.Machine, waited bool, p *progress) error {
	if m.Node == "" || m.State.Ended() && !waited {
		p.line("%s is released", holder{m}.label())
		return nil
	}
	n, err := e.Node(ctx, m.Node)
	switch {
	case core.Is(err, core.NotFound):
		p.done(m.Node, "%s is released; %s was retired", holder{m}.label(), m.Node)
		return nil
	case err != nil:
		return err
	}
	p.done(n.ID, "%s is released; %s", holder{m}.label(), afterClean(n))
	if waited && n.State == core.Quarantined {
		return errors.New("the node was quarantined; see 'metalpool node show " + string(n.ID) + "'")
	}
	return nil
}
