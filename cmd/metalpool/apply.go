package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/client"
	"github.com/metalpool/metalpool/core/rackfile"
)

func applyCommand(a *app) *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply -f FILE...",
		Short: "Declare pools, nodes, images, steps and profiles by rack files",
		Long: `Apply has the pool be as rack files say; see 'metalpool help rack-file' and
'metalpool help steps'.
What they do not name stays as it is, and applied again they change nothing. Deploys
that have begun go on as they were. Where something is refused, nothing changes; nodes
that are not there are enrolled after that, each by itself, and are erased only by
'metalpool node repair'.

Several files, and those of a folder, are applied together: what one names another may
declare, and what two declare is refused.

Which file it was is kept with all that it declares, by name and folder: another file, a
command, or Terraform is refused to change that, unless it says --take-over. A file that is
applied from many places, as each checkout is one, says who it is by a line 'name: …' or by
--as file:NAME. To hand things over to Terraform, apply a file that does no more than name
them with --take-over --as terraform.`,
		Example: `  metalpool apply -f rack.yaml
  metalpool apply -f racks/ -f site.yaml`,
		Args: noFiles(),
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.enroll.user, "user", "root", "`user` of the BMCs that the file has none for")
	f.enroll.password.add(cmd)
	cmd.RunE = a.run(func(ctx context.Context, _ []string) error {
		all, err := f.read(a)
		if err != nil {
			return err
		}
		return all.located(a.apply(ctx, f, all))
	})
	return cmd
}

func diffCommand(a *app) *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "diff -f FILE...",
		Short: "Show what applying rack files would change",
		Long: `Diff shows what applying rack files would change, and changes nothing. It takes the
options of apply, and exits with 0 where nothing would change, with 1 where something
would, and with 2 where apply would be refused, or it cannot be told.`,
		Example: "  metalpool diff -f rack.yaml",
		Args:    noFiles(),
	}
	f.add(cmd)
	f.options.DryRun = true
	cmd.RunE = a.run(func(ctx context.Context, _ []string) error {
		all, err := f.read(a)
		if err == nil {
			err = all.located(a.diff(ctx, f, all))
		}
		return undecided(err)
	})
	return cmd
}

// noFiles refuses arguments, which are files that somebody has forgotten the flag of.
func noFiles() cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return usagef("unexpected argument %q; did you mean -f %s?", args[0], args[0])
	}
}

// applyFlags are those of apply and diff.
type applyFlags struct {
	files   []string
	as      string
	options core.ApplyOptions
	output  outputFlag
	enroll  enrollFlags
}

func (f *applyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&f.files, "file", "f", nil, "the rack `file`, or a folder of them; - is standard input; may be repeated")
	cmd.Flags().BoolVar(&f.options.Prune, "prune", false, "remove steps and profiles that the file has declared before, and does not any more")
	cmd.Flags().BoolVar(&f.options.TakeOver, "take-over", false, "change also what another file, a command or Terraform has declared")
	cmd.Flags().StringVar(&f.as, "as", "", "have `declarer` declare it from now on, not the file: terraform, 'command line', or file:NAME for a file wherever it is")
	complete(cmd, "as", string(core.DeclaredInTerraform), string(core.DeclaredOnCommandLine))
	f.output.add(cmd)
}

func (a *app) diff(ctx context.Context, f applyFlags, all racks) error {
	var changes []core.Declared
	err := a.look(ctx, create, func(ctx context.Context, e core.Operator) (err error) {
		if err := all.findImages(e); err != nil {
			return err
		}
		changes, err = e.Apply(ctx, all.declaration(), f.options)
		return err
	})
	if err != nil {
		return err
	}
	if err := a.showChanges(f, all, changes); err != nil {
		return err
	}
	refused := core.DeclaredByOthers(changes, all.declaration())
	switch {
	case !slices.ContainsFunc(changes, func(c core.Declared) bool { return c.Change != core.Unchanged }):
		a.note("nothing would change")
		return nil
	case refused != nil && !f.options.TakeOver:
		a.note("apply refuses this: %s", refused)
		return answer(exitUsage)
	}
	return answer(1)
}

func (a *app) apply(ctx context.Context, f applyFlags, all racks) error {
	return a.with(ctx, create, func(ctx context.Context, e core.Operator) error {
		if err := all.findImages(e); err != nil {
			return err
		}
		p := a.progress()
		f.options.Report = p.report
		changes, err := e.Apply(ctx, all.declaration(), f.options)
		p.stop()
		if err != nil {
			return err
		}
		if !f.output.json() {
			if err := a.showChanges(f, all, changes); err != nil {
				return err
			}
		}
		if !slices.ContainsFunc(changes, func(c core.Declared) bool { return c.Change != core.Unchanged }) {
			a.note("nothing changed: all is as the %s", either(len(all) == 1, "file says", "files say"))
		}
		enrolling := a.enrollMissing(ctx, e, f, all, changes)
		if f.output.json() {
			if err := a.printJSON(list(changes)); err != nil {
				return err
			}
		}
		return enrolling
	})
}

// enrollMissing adds the nodes that were not there.
func (a *app) enrollMissing(ctx context.Context, e core.Operator, f applyFlags, all racks, changes []core.Declared) error {
	missing := map[string]*core.Declared{}
	for i, c := range changes {
		if c.Change == core.ToEnroll {
			missing[c.Name] = &changes[i]
		}
	}
	if len(missing) == 0 {
		return nil
	}
	var servers []core.Enrollment
	for _, r := range all {
		f.enroll.from, f.enroll.node.By = r.Path, r.Declaration.By
		some, err := f.enroll.ofFile(ctx, a, r.File, map[string]string{}, func(n rackfile.Node) bool {
			return missing[core.NodeDeclaration{ID: n.ID, URL: n.BMC.URL}.Label()] != nil
		})
		if err != nil {
			return err
		}
		servers = append(servers, some...)
	}
	added, err := a.enrollEach(ctx, e, servers, enrollParallel, f.output.json())
	for _, n := range added {
		for _, name := range []string{string(n.ID), core.NodeDeclaration{URL: n.Spec.BMC.URL}.Label()} {
			if c := missing[name]; c != nil {
				c.Name, c.Change = string(n.ID), core.Added
			}
		}
	}
	a.sayNext(added)
	return err
}

// findImages keeps paths as deploys need them: they are meant from the file's folder. To a
// server they are sent as they are.
func (all racks) findImages(e core.Operator) error {
	if _, served := e.(*client.Client); served {
		return nil
	}
	for _, r := range all {
		for i, image := range r.Declaration.Images {
			path := image.Source
			if path == "" || strings.Contains(path, "://") {
				continue
			}
			if !filepath.IsAbs(path) && r.Path != "-" {
				path = filepath.Join(filepath.Dir(r.Path), path)
			}
			path, err := filepath.Abs(path)
			if err != nil {
				return err
			}
			r.Declaration.Images[i].Source = path
		}
	}
	return nil
}

func (a *app) showChanges(f applyFlags, all racks, changes []core.Declared) error {
	if f.output.json() {
		return a.printJSON(list(changes))
	}
	a.warnOf(all, changes)
	t := a.table("KIND", "NAME", "CHANGE", "FIELDS")
	some := false
	for _, c := range changes {
		if c.Change != core.Unchanged {
			some = true
			t.row(c.Kind, c.Name, string(c.Change), strings.Join(c.Fields, "; "))
		}
	}
	if !some {
		return nil
	}
	return t.print(a.out)
}

// warnOf tells what is declared and may not be meant, and where that is in the files.
func (a *app) warnOf(all racks, changes []core.Declared) {
	for _, c := range changes {
		for _, w := range c.Warnings {
			text := fmt.Sprintf("%s %s: %s", c.Kind, c.Name, w)
			if at := all.at(c.Kind, c.Name, w); at != "" {
				text = at + ": " + text
			}
			a.note("warning: %s", text)
		}
	}
}
