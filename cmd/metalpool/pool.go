package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

func poolCommand(a *app) *cobra.Command {
	return noun("pool", "Policies: default image, how thoroughly to erase, quota, timeouts",
		poolListCommand(a), poolShowCommand(a), poolSetCommand(a), poolRemoveCommand(a))
}

func poolListCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List pools, with how many nodes are free",
		Example: "  metalpool pool list",
		Args:    exactly(),
		RunE: a.reads(func(ctx context.Context, e core.Operator, _ []string) error {
			pools, err := e.Pools(ctx)
			if err != nil {
				return err
			}
			views, err := viewPools(ctx, e, pools)
			if err != nil {
				return err
			}
			if o.json() {
				return a.printJSON(views)
			}
			t := a.table("POOL", "NODES", "AVAILABLE", "MACHINES", "IMAGE", "PROFILE", "ERASE", "QUOTA", "DECLARED BY").sparing("DECLARED BY", "ERASE", "QUOTA")
			for _, v := range views {
				t.row(v.Name, number(v.Nodes), number(v.Available), number(v.Machines), v.DefaultImage, v.Profile, string(v.EraseMinimum), count(v.Quota), string(v.DeclaredBy.Name()))
			}
			return t.print(a.out)
		}),
	}
	o.add(cmd)
	return cmd
}

// viewPools counts what is in each pool.
func viewPools(ctx context.Context, e core.Operator, pools []core.Pool) ([]poolView, error) {
	nodes, err := e.Nodes(ctx, core.NodeFilter{})
	if err != nil {
		return nil, err
	}
	views := make([]poolView, len(pools))
	at := map[string]*poolView{}
	for i, p := range pools {
		views[i] = poolView{
			Name: p.Name, DefaultImage: p.DefaultImage, EraseMinimum: p.EraseMinimum, Quota: p.Quota,
			Profile: p.Profile, Profiles: p.Profiles, StepsAtOnce: p.StepsAtOnce,
			Timeouts: viewTimeouts(p.Timeouts), DeclaredBy: p.DeclaredBy,
		}
		if p.EraseMinimum == core.NotErased {
			views[i].EraseMinimum = core.Clear
		}
		at[p.Name] = &views[i]
	}
	for _, n := range nodes {
		v := at[n.Pool]
		if v == nil {
			continue
		}
		v.Nodes++
		switch {
		case n.State == core.Available:
			v.Available++
		case n.State.Owned():
			v.Machines++
		}
	}
	return views, nil
}

func poolShowCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:               "show POOL",
		Short:             "Show one pool's policy",
		Example:           "  metalpool pool show default",
		Args:              exactly("POOL"),
		ValidArgsFunction: a.completeArgs(poolNames),
		RunE: a.reads(func(ctx context.Context, e core.Operator, args []string) error {
			return a.showPool(ctx, e, args[0], o)
		}),
	}
	o.add(cmd)
	return cmd
}

func (a *app) showPool(ctx context.Context, e core.Operator, name string, o outputFlag) error {
	p, err := e.Pool(ctx, name)
	if err != nil {
		return err
	}
	views, err := viewPools(ctx, e, []core.Pool{p})
	if err != nil {
		return err
	}
	v := views[0]
	if o.json() {
		return a.printJSON(v)
	}
	s := a.sheet()
	s.line("Pool", v.Name)
	s.line("Nodes", number(v.Nodes)+", "+number(v.Available)+" available")
	s.line("Machines", number(v.Machines))
	s.line("Image", v.DefaultImage)
	s.line("Profile", p.Profile)
	s.line("Also offers", strings.Join(p.Profiles, ", "))
	s.line("Steps at once", words(number(cmp.Or(p.StepsAtOnce, core.DefaultStepsAtOnce)), either(p.StepsAtOnce == 0, "(default)", "")))
	s.line("Erase", "at least "+string(v.EraseMinimum))
	s.line("Quota", either(v.Quota == 0, "none", plural(v.Quota, "machine")+" per owner"))
	s.line("Declared by", string(p.DeclaredBy))
	if p.ManagementKey != "" && p.ManagementKey != core.ManageDeploy {
		s.line("Management key", string(p.ManagementKey))
	}
	counts := p.Timeouts.OrDefaults()
	set := timeoutRows(&p.Timeouts)
	for i, row := range timeoutRows(&counts) {
		s.line("Timeouts", words(row.name, core.FormatDuration(*row.value), either(*set[i].value == 0, "(default)", "")))
	}
	return s.print(a.out)
}

func poolSetCommand(a *app) *cobra.Command {
	var (
		image      string
		erase      string
		quota      int
		atOnce     int
		management string
		profile    string
		offers     []string
		timeouts   map[string]string
		options    core.ApplyOptions
		o          outputFlag
	)
	cmd := &cobra.Command{
		Use:   "set POOL",
		Short: "Declare a pool, or change its policy",
		Long: `Set declares a pool, or changes what its flags name; the rest stays. An empty
value or 0 takes a setting back.

Timeouts are those of one phase:

` + defaultTimeouts() + `
A server whose self-test takes long needs a longer check-in. All
timeouts, and what follows when one is over, are in docs/timeouts.md.

With a management key that stays ('always'), the keys of machines can be changed while
they run; 'never' rules out all that needs to log in.`,
		Example: `  metalpool pool set default --image debian
  metalpool pool set ci --image debian --quota 8 --erase-minimum purge --timeout check-in=40m`,
		Args:              exactly("POOL"),
		ValidArgsFunction: a.completeArgs(poolNames),
	}
	f := cmd.Flags()
	f.StringVar(&image, "image", "", "`image` of machines that name none")
	f.StringVar(&erase, "erase-minimum", "", "how thoroughly every disk must be erased: `class` clear or purge (NIST SP 800-88)")
	f.IntVar(&quota, "quota", 0, "`machines` that one owner may hold at once; 0 is no limit")
	f.IntVar(&atOnce, "steps-at-once", 0, fmt.Sprintf("on how `many` nodes steps are done at one time; 0 is the default, %d", core.DefaultStepsAtOnce))
	f.StringVar(&profile, "profile", "", "`profile` of machines that name none: what is done to them besides")
	f.StringSliceVar(&offers, "profiles", nil, "other `profiles` that a machine may name, as bare,gpu")
	f.Lookup("profiles").DefValue = "" // as with timeout
	f.StringVar(&management, "management-key", "", "whether metalpool keeps a `way` into machines: never, deploy (while it needs one; the default), or always")
	f.StringToStringVar(&timeouts, "timeout", nil, "`phase=time`, such as check-in=40m,erase=48h")
	f.Lookup("timeout").DefValue = "" // pflag's is [], which help would show
	takeOverFlag(cmd, &options.TakeOver, "change")
	o.add(cmd)
	completeWith(cmd, "image", a, imageNames)
	completeWith(cmd, "profile", a, profiles.names)
	completeWith(cmd, "profiles", a, profiles.names)
	complete(cmd, "erase-minimum", string(core.Clear), string(core.Purge))
	complete(cmd, "management-key", string(core.ManageNever), string(core.ManageDeploy), string(core.ManageAlways))
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		p := core.PoolDeclaration{
			Name: args[0], DefaultImage: given(cmd, "image", image), EraseMinimum: given(cmd, "erase-minimum", core.EraseClass(strings.ToLower(erase))),
			Profile: given(cmd, "profile", profile), Quota: given(cmd, "quota", quota), StepsAtOnce: given(cmd, "steps-at-once", atOnce), ManagementKey: given(cmd, "management-key", core.ManagementPolicy(strings.ToLower(management))),
		}
		if cmd.Flags().Changed("profiles") {
			p.Profiles = append([]string{}, offers...) // none is an empty list, and not none said
		}
		if err := setTimeouts(&p, timeouts); err != nil {
			return err
		}
		return a.with(ctx, create, func(ctx context.Context, e core.Operator) error {
			changes, err := e.Apply(ctx, core.Declaration{By: core.DeclaredOnCommandLine, Pools: []core.PoolDeclaration{p}}, options)
			if err != nil {
				return err
			}
			a.warnOf(nil, changes)
			return a.showPool(ctx, e, p.Name, o)
		})
	})
	return cmd
}

func poolRemoveCommand(a *app) *cobra.Command {
	var takeOver bool
	cmd := &cobra.Command{
		Use:               "remove POOL",
		Aliases:           []string{"rm"},
		Short:             "Remove a pool that has no nodes",
		Example:           "  metalpool pool remove ci",
		Args:              exactly("POOL"),
		ValidArgsFunction: a.completeArgs(poolNames),
		RunE: a.onPool(func(ctx context.Context, e core.Operator, args []string) error {
			if err := e.RemovePool(ctx, args[0], core.DeclaredOnCommandLine, takeOver); err != nil {
				return err
			}
			a.note("pool %s is removed", args[0])
			return nil
		}),
	}
	takeOverFlag(cmd, &takeOver, "remove")
	return cmd
}

// timeoutRow is one phase that --timeout names.
type timeoutRow struct {
	name  string
	value *time.Duration
	about string
}

func timeoutRows(t *core.Timeouts) []timeoutRow {
	return []timeoutRow{
		{"power", &t.Power, "until the BMC reads back what was asked"},
		{"check-in", &t.CheckIn, "from power on until the ramdisk's agent calls"},
		{"write", &t.Write, "to write the image and read it back"},
		{"ssh", &t.SSH, "from the OS's start to its host key, then to cloud-init's end"},
		{"kexec", &t.Kexec, "until an OS started by kexec shows life; then it is started from its disk"},
		{"erase", &t.Erase, "to erase all disks and verify it"},
	}
}

// defaultTimeouts lists what counts where a pool sets nothing, for help.
func defaultTimeouts() string {
	defaults := core.Timeouts{}.OrDefaults()
	var b strings.Builder
	for _, row := range timeoutRows(&defaults) {
		fmt.Fprintf(&b, "  %-9s %4s  %s\n", row.name, core.FormatDuration(*row.value), row.about)
	}
	return b.String()
}

// setTimeouts reads --timeout.
func setTimeouts(p *core.PoolDeclaration, texts map[string]string) error {
	if len(texts) == 0 {
		return nil
	}
	p.Timeouts = &core.TimeoutsDeclaration{}
	rows := timeoutRows(&core.Timeouts{})
	fields := []**core.Span{&p.Timeouts.Power, &p.Timeouts.CheckIn, &p.Timeouts.Write, &p.Timeouts.SSH, &p.Timeouts.Kexec, &p.Timeouts.Erase}
	for _, phase := range slices.Sorted(maps.Keys(texts)) {
		i := slices.IndexFunc(rows, func(r timeoutRow) bool { return r.name == phase })
		if i < 0 {
			return usagef("--timeout: %q is no phase; there are: power, check-in, write, ssh, kexec, erase", phase)
		}
		d, err := core.ParseDuration("timeout of "+phase, texts[phase])
		if err != nil {
			return asUsage(err)
		}
		*fields[i] = (*core.Span)(&d)
	}
	return nil
}

func viewTimeouts(t core.Timeouts) timeoutsView {
	return timeoutsView{core.FormatDuration(t.Power), core.FormatDuration(t.CheckIn), core.FormatDuration(t.Write), core.FormatDuration(t.SSH), core.FormatDuration(t.Kexec), core.FormatDuration(t.Erase)}
}
