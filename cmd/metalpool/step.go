package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
)

// declarable is a kind of thing that rack files declare. The commands are alike for all.
type declarable[T any] struct {
	noun    string
	example string // the name of one
	unused  string // which of them may go
	columns []string
	row     func(T) []string
	name    func(T) string
	file    func(T) rackfile.File
	all     func(core.Operator, context.Context) ([]T, error)
	find    func(core.Operator, context.Context, string) (T, error)
	remove  func(core.Operator, context.Context, string, core.Declarer, bool) error
}

var steps = declarable[core.Step]{
	noun: "step", example: "agent", unused: "that no profile has",
	columns: []string{"STEP", "KIND", "PHASE", "AFTER", "TIMEOUT", "ON FAILURE", "DECLARED BY"},
	row: func(s core.Step) []string {
		d := s.OrDefaults()
		return []string{s.Name, string(s.Kind()), string(d.Phase), strings.Join(s.After, ", "), d.Timeout.String(), string(d.OnFailure), string(s.DeclaredBy.Name())}
	},
	name: func(s core.Step) string { return s.Name },
	file: func(s core.Step) rackfile.File { return rackfile.File{Steps: []core.Step{s}} },
	all:  core.Operator.Steps, find: core.Operator.Step, remove: core.Operator.RemoveStep,
}

var profiles = declarable[core.Profile]{
	noun: "profile", example: "base", unused: "that no pool has",
	columns: []string{"PROFILE", "STEPS", "DECLARED BY"},
	row: func(p core.Profile) []string {
		return []string{p.Name, strings.Join(p.Steps, ", "), string(p.DeclaredBy.Name())}
	},
	name: func(p core.Profile) string { return p.Name },
	file: func(p core.Profile) rackfile.File {
		return rackfile.File{Profiles: []core.Profile{p}}
	},
	all: core.Operator.Profiles, find: core.Operator.Profile, remove: core.Operator.RemoveProfile,
}

func stepCommand(a *app) *cobra.Command {
	return steps.commands(a, "What is done to every server besides: scripts, agents, calls")
}

func profileCommand(a *app) *cobra.Command {
	return profiles.commands(a, "Choices of steps, for pools")
}

func (d declarable[T]) commands(a *app, about string) *cobra.Command {
	return noun(d.noun, about, d.listCommand(a), d.showCommand(a), d.removeCommand(a))
}

func (d declarable[T]) listCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List " + d.noun + "s",
		Example: "  metalpool " + d.noun + " list",
		Args:    exactly(),
		RunE: a.reads(func(ctx context.Context, e core.Operator, _ []string) error {
			all, err := d.all(e, ctx)
			if err != nil {
				return err
			}
			if o.json() {
				return a.printJSON(list(all))
			}
			if len(all) == 0 {
				a.note("no %ss; declare them with 'metalpool apply -f FILE'", d.noun)
				return nil
			}
			t := a.table(d.columns...).sparing("DECLARED BY", "AFTER")
			for _, one := range all {
				t.row(d.row(one)...)
			}
			return t.print(a.out)
		}),
	}
	o.add(cmd)
	return cmd
}

func (d declarable[T]) showCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:               "show " + strings.ToUpper(d.noun),
		Short:             "Show one " + d.noun + ", as a rack file has it",
		Example:           "  metalpool " + d.noun + " show " + d.example,
		Args:              exactly(strings.ToUpper(d.noun)),
		ValidArgsFunction: a.completeArgs(d.names),
		RunE: a.reads(func(ctx context.Context, e core.Operator, args []string) error {
			one, err := d.find(e, ctx, args[0])
			if err != nil {
				return err
			}
			if o.json() {
				return a.printJSON(one)
			}
			return d.file(one).Print(a.out)
		}),
	}
	o.add(cmd)
	return cmd
}

func (d declarable[T]) removeCommand(a *app) *cobra.Command {
	var takeOver bool
	cmd := &cobra.Command{
		Use:               "remove " + strings.ToUpper(d.noun),
		Aliases:           []string{"rm"},
		Short:             "Remove a " + d.noun + " " + d.unused,
		Example:           "  metalpool " + d.noun + " remove " + d.example,
		Args:              exactly(strings.ToUpper(d.noun)),
		ValidArgsFunction: a.completeArgs(d.names),
		RunE: a.onPool(func(ctx context.Context, e core.Operator, args []string) error {
			if err := d.remove(e, ctx, args[0], core.DeclaredOnCommandLine, takeOver); err != nil {
				return err
			}
			a.note("%s %s is removed", d.noun, args[0])
			return nil
		}),
	}
	takeOverFlag(cmd, &takeOver, "remove")
	return cmd
}

func (d declarable[T]) names(ctx context.Context, e core.Operator) ([]string, error) {
	all, err := d.all(e, ctx)
	return names(all, d.name), err
}
