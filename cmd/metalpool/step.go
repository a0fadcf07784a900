package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
)

func stepCommand(a *app) *cobra.Command {
	return noun("step", "What is done to every server besides: scripts, agents, calls",
		stepListCommand(a), stepShowCommand(a), stepRemoveCommand(a))
}

func stepListCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List steps",
		Example: "  metalpool step list",
		Args:    exactly(),
		RunE: a.reads(func(ctx context.Context, e core.Operator, _ []string) error {
			all, err := e.Steps(ctx)
			if err != nil {
				return err
			}
			if o.json() {
				return a.printJSON(list(all))
			}
			if len(all) == 0 {
				a.note("no steps; declare them with 'metalpool apply -f FILE'")
				return nil
			}
			t := a.table("STEP", "KIND", "PHASE", "AFTER", "TIMEOUT", "ON FAILURE", "DECLARED BY")
			for _, s := range all {
				d := s.OrDefaults()
				t.row(s.Name, string(s.Kind()), string(d.Phase), strings.Join(s.After, ","), d.Timeout.String(), string(d.OnFailure), string(s.DeclaredBy))
			}
			return t.print(a.out)
		}),
	}
	o.add(cmd)
	return cmd
}

func stepShowCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:               "show STEP",
		Short:             "Show one step, as a rack file has it",
		Example:           "  metalpool step show agent",
		Args:              exactly("STEP"),
		ValidArgsFunction: a.completeArgs(stepNames),
		RunE: a.reads(func(ctx context.Context, e core.Operator, args []string) error {
			s, err := e.Step(ctx, args[0])
			if err != nil {
				return err
			}
			if o.json() {
				return a.printJSON(s)
			}
			return rackfile.File{Steps: []core.Step{s}}.Print(a.out)
		}),
	}
	o.add(cmd)
	return cmd
}

func stepRemoveCommand(a *app) *cobra.Command {
	var takeOver bool
	cmd := &cobra.Command{
		Use:               "remove STEP",
		Aliases:           []string{"rm"},
		Short:             "Remove a step that no profile has",
		Example:           "  metalpool step remove agent",
		Args:              exactly("STEP"),
		ValidArgsFunction: a.completeArgs(stepNames),
		RunE: a.onPool(func(ctx context.Context, e core.Operator, args []string) error {
			return e.RemoveStep(ctx, args[0], core.DeclaredOnCommandLine, takeOver)
		}),
	}
	takeOverFlag(cmd, &takeOver, "remove")
	return cmd
}

func profileCommand(a *app) *cobra.Command {
	return noun("profile", "Choices of steps, for pools",
		profileListCommand(a), profileShowCommand(a), profileRemoveCommand(a))
}

func profileListCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List profiles",
		Example: "  metalpool profile list",
		Args:    exactly(),
		RunE: a.reads(func(ctx context.Context, e core.Operator, _ []string) error {
			all, err := e.Profiles(ctx)
			if err != nil {
				return err
			}
			if o.json() {
				return a.printJSON(list(all))
			}
			if len(all) == 0 {
				a.note("no profiles; declare them with 'metalpool apply -f FILE'")
				return nil
			}
			t := a.table("PROFILE", "STEPS", "DECLARED BY")
			for _, p := range all {
				t.row(p.Name, strings.Join(p.Steps, ","), string(p.DeclaredBy))
			}
			return t.print(a.out)
		}),
	}
	o.add(cmd)
	return cmd
}

func profileShowCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:               "show PROFILE",
		Short:             "Show one profile, as a rack file has it",
		Example:           "  metalpool profile show base",
		Args:              exactly("PROFILE"),
		ValidArgsFunction: a.completeArgs(profileNames),
		RunE: a.reads(func(ctx context.Context, e core.Operator, args []string) error {
			p, err := e.Profile(ctx, args[0])
			if err != nil {
				return err
			}
			if o.json() {
				return a.printJSON(p)
			}
			return rackfile.File{Profiles: []core.Profile{p}}.Print(a.out)
		}),
	}
	o.add(cmd)
	return cmd
}

func profileRemoveCommand(a *app) *cobra.Command {
	var takeOver bool
	cmd := &cobra.Command{
		Use:               "remove PROFILE",
		Aliases:           []string{"rm"},
		Short:             "Remove a profile that no pool has",
		Example:           "  metalpool profile remove base",
		Args:              exactly("PROFILE"),
		ValidArgsFunction: a.completeArgs(profileNames),
		RunE: a.onPool(func(ctx context.Context, e core.Operator, args []string) error {
			return e.RemoveProfile(ctx, args[0], core.DeclaredOnCommandLine, takeOver)
		}),
	}
	takeOverFlag(cmd, &takeOver, "remove")
	return cmd
}

func stepNames(ctx context.Context, e core.Operator) ([]string, error) {
	all, err := e.Steps(ctx)
	return names(all, func(s core.Step) string { return s.Name }), err
}

func profileNames(ctx context.Context, e core.Operator) ([]string, error) {
	all, err := e.Profiles(ctx)
	return names(all, func(p core.Profile) string { return p.Name }), err
}
