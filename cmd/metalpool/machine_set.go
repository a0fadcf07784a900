package main

import (
	"context"
	"reflect"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
)

// machineSetFlags are what `machine set` may change.
type machineSetFlags struct {
	name   string
	labels []string
	keys   []string
	ttl    string
}

func machineSetCommand(a *app) *cobra.Command {
	var (
		owner ownerFlag
		flags machineSetFlags
	)
	cmd := &cobra.Command{
		Use:   "set MACHINE",
		Short: "Change a machine's name, its labels, who may log in, or how long it is kept",
		Long: `Set changes a machine while it runs. Its name and labels are the pool's notes: the
server notices nothing, and its host name stays. Keys are changed on the machine
itself, where its pool kept a management key when it was deployed
(metalpool pool set POOL --management-key always); keys that others put there stay.
With --ttl it is kept so long from now on, and then released; 0 keeps it until somebody
releases it.
` + machineWords,
		Example: `  metalpool machine set web-1 --label tier=web --label old-
  metalpool machine set web-1 --name front-1
  metalpool machine set web-1 --ttl 8h
  metalpool machine set web-1 --key ann.pub --key bob.pub`,
		Args:              exactly("MACHINE"),
		ValidArgsFunction: a.completeArgs(machineNames),
	}
	f := cmd.Flags()
	owner.add(cmd, "whose machine a name means")
	f.StringVar(&flags.name, "name", "", "its new `name`")
	f.StringArrayVar(&flags.labels, "label", nil, "`name=value`, or name- to remove it; may be repeated")
	f.StringArrayVar(&flags.keys, "key", nil, "`file` with public SSH keys that may log in from now on, in place of those it was given; may be repeated")
	f.StringVar(&flags.ttl, "ttl", "", "how `long` to keep it from now on: 8h; 0: until it is released")
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		change, err := flags.change(cmd)
		if err != nil {
			return err
		}
		return a.with(ctx, open.Options{}, func(ctx context.Context, e core.Operator) error {
			m, err := owner.machine(ctx, e, args[0])
			if err != nil {
				return err
			}
			_, err = e.Change(ctx, m.ID, change)
			return err
		})
	})
	return cmd
}

// change is what was on the command line, and nothing else.
func (s *machineSetFlags) change(cmd *cobra.Command) (c core.MachineChange, err error) {
	c.Name = given(cmd, "name", s.name)
	if c.Labels, err = parseLabelChanges(s.labels); err != nil {
		return c, err
	}
	if cmd.Flags().Changed("ttl") {
		ttl, err := core.ParseDuration("--ttl", s.ttl)
		if err != nil {
			return c, asUsage(err)
		}
		c.TTL = &ttl
	}
	if len(s.keys) > 0 {
		if c.Keys, err = readKeys(s.keys); err != nil {
			return c, asUsage(err)
		}
	}
	if reflect.DeepEqual(c, core.MachineChange{}) {
		return c, usagef("nothing to change; say what with a flag, such as --label tier=web")
	}
	return c, nil
}
