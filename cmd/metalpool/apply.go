package main

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
)

func applyCommand(a *app) *cobra.Command {
	var f declarationFlags
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Declare steps, profiles and what pools do with them, by a rack file",
		Long: `Apply has the pool be as a rack file says: its steps, profiles, and the profiles of
its pools; see docs/steps.md. All of it is applied, or nothing. What the file does not
name stays as it is, and applied again it changes nothing. Deploys that have begun go
on as they were.

The name of the file is kept with all that it declares: another file, or a command, is
refused to change that, unless it says --take-over.`,
		Example: "  metalpool apply -f rack.yaml",
		Args:    exactly(),
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.options.TakeOver, "take-over", false, "change also what another file or a command has declared")
	cmd.RunE = a.run(func(ctx context.Context, _ []string) error { return a.apply(ctx, f) })
	return cmd
}

func diffCommand(a *app) *cobra.Command {
	f := declarationFlags{options: core.ApplyOptions{DryRun: true, TakeOver: true}}
	cmd := &cobra.Command{
		Use:     "diff -f FILE",
		Short:   "Show what applying a rack file would change",
		Example: "  metalpool diff -f rack.yaml",
		Args:    exactly(),
	}
	f.add(cmd)
	cmd.RunE = a.run(func(ctx context.Context, _ []string) error { return a.apply(ctx, f) })
	return cmd
}

// declarationFlags are those of apply and diff.
type declarationFlags struct {
	file    string
	options core.ApplyOptions
	output  outputFlag
}

func (f *declarationFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "the rack `file`; - is standard input")
	f.output.add(cmd)
}

func (a *app) apply(ctx context.Context, f declarationFlags) error {
	if f.file == "" {
		return usagef("which file? name it with -f FILE")
	}
	source, err := openInput(a.in, f.file)
	if err != nil {
		return usagef("-f: %w", err)
	}
	defer source.Close()
	file, nodes, err := rackfile.ParseDeclarations(source)
	if err != nil {
		return usagef("-f %s: %w", f.file, err)
	}
	d := core.Declaration{By: core.DeclaredIn(filepath.Base(f.file)), Steps: file.Steps, Profiles: file.Profiles, Pools: file.Pools}
	opened := a.with
	if f.options.DryRun {
		opened = a.look
	}
	return opened(ctx, create, func(ctx context.Context, e core.Operator) error {
		changes, err := e.Apply(ctx, d, f.options)
		if err != nil {
			return err
		}
		if nodes > 0 && !f.options.DryRun {
			a.note("%s of the file left as they are; 'metalpool node enroll --from %s' adds them", plural(nodes, "node"), f.file)
		}
		if f.output.json() {
			return a.printJSON(list(changes))
		}
		return a.showChanges(changes, f.options.DryRun)
	})
}

func (a *app) showChanges(changes []core.Declared, would bool) error {
	t := a.table("KIND", "NAME", "CHANGE", "FIELDS")
	some := 0
	for _, c := range changes {
		if c.Change == core.Unchanged {
			continue
		}
		some++
		t.row(c.Kind, c.Name, string(c.Change), strings.Join(c.Fields, "; "))
	}
	if some == 0 {
		a.note("%s", either(would, "nothing would change", "nothing changed: all is as the file says"))
		return nil
	}
	return t.print(a.out)
}

func exportCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "export",
		Short:   "Print what is declared as a rack file",
		Example: "  metalpool export > rack.yaml",
		Args:    exactly(),
		RunE: a.reads(func(ctx context.Context, e core.Operator, _ []string) error {
			var d rackfile.Declarations
			var err error
			if d.Steps, err = e.Steps(ctx); err != nil {
				return err
			}
			if d.Profiles, err = e.Profiles(ctx); err != nil {
				return err
			}
			pools, err := e.Pools(ctx)
			if err != nil {
				return err
			}
			for _, p := range pools {
				d.Pools = append(d.Pools, core.PoolProfile{Name: p.Name, Profile: p.Profile, Profiles: p.Profiles})
			}
			return d.Write(a.out)
		}),
	}
}
