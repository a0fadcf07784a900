package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/bmc"
)

func labFaultCommand(a *app, dir *labDir) *cobra.Command {
	return noun("fault", "Let things go wrong",
		labFaultAddCommand(a, dir), labFaultListCommand(a, dir), labFaultClearCommand(a, dir), labFaultPlanCommand(a, dir))
}

// faultFlags are a fault of a machine or of its BMC.
type faultFlags struct {
	kind          string
	nth, count    int
	on            string
	method, path  string
	after         bool
	status        int
	power         string
	delay         time.Duration
	ofBMC, always bool
}

func labFaultAddCommand(a *app, dir *labDir) *cobra.Command {
	var flags faultFlags
	cmd := &cobra.Command{
		Use:   "add NODE KIND",
		Short: "Let something go wrong with a server, or with its BMC",
		Long: `Add lets the next request, boot, write or erase of its kind go wrong, or the --nth,
and --count of them. NODE may be any, for a fault of the machine: the first one to
come is hit.

Of the machine:
` + explained(lab.FaultKinds()) + `
Of its BMC:
` + explained(bmc.Kinds()) + `
Those of the BMC are --on requests of one kind, or on any:
` + columns(bmcVerbs()) + `
More about each is in docs/lab.md.`,
		Example: `  metalpool lab fault add n002 write-error
  metalpool lab fault add any erase-error
  metalpool lab fault add n003 fail --on insert --status 503 --count 2
  metalpool lab fault add n004 cut --on reset --after`,
		Args: exactly("NODE", "KIND"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return dir.completeNodes(cmd, args, word)
			}
			return append(machineFaults(), bmcFaults()...), cobra.ShellCompDirectiveNoFileComp
		},
	}
	f := cmd.Flags()
	f.IntVar(&flags.nth, "nth", 1, "the `first` that goes wrong, from 1")
	f.IntVar(&flags.count, "count", 1, "how `many` go wrong from there on")
	f.BoolVar(&flags.always, "always", false, "all go wrong from there on, until the fault is cleared")
	f.StringVar(&flags.on, "on", "", "of the BMC: only these `requests`")
	f.StringVar(&flags.method, "method", "", "of the BMC: only requests with this HTTP `method`")
	f.StringVar(&flags.path, "path", "", "of the BMC: only requests for this `path`; with * at its end, for all that begin so")
	f.BoolVar(&flags.after, "after", false, "of the BMC: only after the request had its effect")
	f.IntVar(&flags.status, "status", 0, "of fail: the HTTP `status` (default 500)")
	f.StringVar(&flags.power, "power", "", "of lie: the `state` that is told (default: the opposite)")
	f.DurationVar(&flags.delay, "delay", 0, "of hang and late: for how `long`")
	complete(cmd, "on", bmcVerbs()...)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		flags.kind = args[1]
		flags.ofBMC = slices.ContainsFunc([]string{"on", "method", "path", "after", "status", "power", "delay"}, f.Changed)
		fault, err := flags.fault()
		if err != nil {
			return err
		}
		client, err := dir.connect()
		if err != nil {
			return err
		}
		if err := client.AddFault(ctx, core.NodeID(args[0]), fault); err != nil {
			return err
		}
		a.note("%s: %s", args[0], flags.planted())
		return nil
	})
	return cmd
}

// fault sorts the flags into the half of the node that the kind belongs to.
func (f *faultFlags) fault() (lab.NewFault, error) {
	if f.always {
		f.count = lab.Forever
	}
	switch {
	case slices.Contains(machineFaults(), f.kind) && f.ofBMC:
		return lab.NewFault{}, usagef("%s is a fault of the machine, and takes --nth, --count and --always alone", f.kind)
	case slices.Contains(machineFaults(), f.kind):
		return lab.NewFault{Machine: &lab.Fault{Kind: lab.FaultKind(f.kind), Nth: f.nth, Count: f.count}}, nil
	case slices.Contains(bmcFaults(), f.kind):
		return lab.NewFault{BMC: &bmc.Fault{
			Kind: bmc.Kind(f.kind), Nth: f.nth, Count: f.count, On: bmc.Verb(f.on), Method: f.method, Path: f.path,
			After: f.after, Status: f.status, Power: bmc.PowerState(f.power), Delay: bmc.Duration(f.delay),
		}}, nil
	}
	return lab.NewFault{}, usagef("%q is no fault; there are, of the machine: %s; of its BMC: %s", f.kind, strings.Join(machineFaults(), ", "), strings.Join(bmcFaults(), ", "))
}

func machineFaults() []string {
	return names(lab.FaultKinds(), func(k lab.FaultKind) string { return string(k) })
}

func bmcFaults() []string { return names(bmc.Kinds(), func(k bmc.Kind) string { return string(k) }) }

func bmcVerbs() []string { return names(bmc.Verbs(), func(v bmc.Verb) string { return string(v) }) }

// planted says what will happen, and when.
func (f *faultFlags) planted() string {
	meaning := lab.FaultKind(f.kind).Meaning()
	if meaning == "" {
		meaning = bmc.Kind(f.kind).Meaning()
	}
	requests := words(f.on, f.method, f.path)
	return words(f.kind, either(requests == "", "", "on "+requests)) + ", " + when(f.nth, f.count) + ": " + meaning
}

// when says which events a fault will hit, counted from now.
func when(nth, count int) string {
	switch {
	case count == lab.Forever && nth == 1:
		return "every time until it is cleared"
	case count == lab.Forever:
		return fmt.Sprintf("every time from the %s on, until it is cleared", ordinal(nth))
	case nth == 1 && count == 1:
		return "the next time"
	case nth == 1:
		return fmt.Sprintf("the next %d times", count)
	case count == 1:
		return fmt.Sprintf("the %s time", ordinal(nth))
	}
	return fmt.Sprintf("the %s to the %s time", ordinal(nth), ordinal(nth+count-1))
}

func ordinal(n int) string {
	end := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			end = "st"
		case 2:
			end = "nd"
		case 3:
			end = "rd"
		}
	}
	return fmt.Sprint(n) + end
}

// explained lists kinds of faults with what they do, one to a line.
func explained[K interface {
	~string
	Meaning() string
}](kinds []K) string {
	var b strings.Builder
	for _, k := range kinds {
		fmt.Fprintf(&b, "  %-15s%s\n", string(k), k.Meaning())
	}
	return b.String()
}

// columns lists words six to a line, as help has room for.
func columns(list []string) string {
	var b strings.Builder
	for line := range slices.Chunk(list, 6) {
		fmt.Fprintf(&b, "  %s\n", strings.Join(line, "  "))
	}
	return b.String()
}

// faultView is one fault of a rack.
type faultView struct {
	Node core.NodeID `json:"node"`
	lab.NewFault
}

func labFaultListCommand(a *app, dir *labDir) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the rack's faults, with how often each has hit",
		Example: "  metalpool lab fault list",
		Args:    exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			client, err := dir.connect()
			if err != nil {
				return err
			}
			nodes, err := client.Status(ctx)
			if err != nil {
				return err
			}
			var faults []faultView
			for _, n := range nodes {
				for _, f := range n.Faults.BMC {
					faults = append(faults, faultView{n.ID, lab.NewFault{BMC: &f}})
				}
				for _, f := range n.Faults.Machine {
					faults = append(faults, faultView{n.ID, lab.NewFault{Machine: &f}})
				}
			}
			return a.printFaults(faults, o)
		}),
	}
	o.add(cmd)
	return cmd
}

func (a *app) printFaults(faults []faultView, o outputFlag) error {
	if o.json() {
		return a.printJSON(list(faults))
	}
	if len(faults) == 0 {
		a.note("no faults; add one with 'metalpool lab fault add'")
		return nil
	}
	t := a.table("NODE", "OF", "KIND", "WHICH", "HITS")
	for _, f := range faults {
		if m := f.Machine; m != nil {
			t.row(string(f.Node), "machine", string(m.Kind), which(m.Nth, m.Count, ""), number(m.Hits))
			continue
		}
		b := f.BMC
		on := words(string(b.On), b.Method, b.Path, either(b.After, "after its effect", ""))
		t.row(string(f.Node), "BMC", string(b.Kind), which(b.Nth, b.Count, on), number(b.Hits))
	}
	return t.print(a.out)
}

// which says which events a fault hits.
func which(nth, count int, on string) string {
	text := ordinal(nth)
	switch {
	case count == lab.Forever:
		text += " and all after it"
	case count > 1:
		text += " to " + ordinal(nth+count-1)
	}
	return words(text, either(on == "", "", "of "+on))
}

func labFaultClearCommand(a *app, dir *labDir) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:               "clear NODE... | --all",
		Short:             "Remove all faults of servers",
		Example:           "  metalpool lab fault clear n002\n  metalpool lab fault clear --all",
		ValidArgsFunction: dir.completeNodes,
		RunE: a.run(func(ctx context.Context, ids []string) error {
			if (len(ids) == 0) != all {
				return usagef("whose faults? give NODE..., or --all")
			}
			client, err := dir.connect()
			if err != nil {
				return err
			}
			if all {
				nodes, err := client.Status(ctx)
				if err != nil {
					return err
				}
				ids = names(nodes, func(n lab.Status) string { return string(n.ID) })
			}
			return each(ctx, a.fail, 1, "cleared", ids, func(ctx context.Context, id string) error {
				if err := client.ClearFaults(ctx, core.NodeID(id)); err != nil {
					return err
				}
				a.note("%s has no faults any more", id)
				return nil
			})
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "of all servers")
	return cmd
}

func labFaultPlanCommand(a *app, dir *labDir) *cobra.Command {
	var (
		order    lab.PlanOrder
		patience time.Duration
		o        outputFlag
	)
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Add random faults; the same seed on the same rack adds the same ones",
		Long: `Plan adds faults to servers and BMCs that follow from the seed alone, and lists
them. A pool with patience gets through all of them.`,
		Example: "  metalpool lab fault plan --seed 42 --count 20",
		Args:    exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			order.Patience = bmc.Duration(patience)
			client, err := dir.connect()
			if err != nil {
				return err
			}
			planned, err := client.Plan(ctx, order)
			if err != nil {
				return err
			}
			faults := make([]faultView, len(planned))
			for i, p := range planned {
				faults[i] = faultView{p.Node, p.NewFault}
			}
			return a.printFaults(faults, o)
		}),
	}
	cmd.Flags().Uint64Var(&order.Seed, "seed", 1, "`number` that the faults follow from")
	cmd.Flags().IntVar(&order.Count, "count", 10, "how `many`")
	cmd.Flags().DurationVar(&patience, "patience", 5*time.Second, "the longest that a BMC hangs")
	cmd.Flags().BoolVar(&order.Settings, "settings", false, "also faults of changes of settings, for a pool whose steps make some")
	o.add(cmd)
	return cmd
}
