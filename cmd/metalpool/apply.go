package main

import (
	"context"
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
		Use:   "apply -f FILE",
		Short: "Declare pools, nodes, images, steps and profiles by a rack file",
		Long: `Apply has the pool be as a rack file says; see docs/rack-file.md and docs/steps.md.
What the file does not name stays as it is, and applied again it changes nothing.
Deploys that have begun go on as they were. Where something of it is refused, nothing
changes; nodes that are not there are enrolled after that, each by itself, and are
erased only by 'metalpool node repair'.

The name of the file is kept with all that it declares: another file, a command, or
Terraform is refused to change that, unless it says --take-over. To hand things over to
Terraform, apply a file that does no more than name them with --take-over --as terraform.`,
		Example: "  metalpool apply -f rack.yaml",
		Args:    exactly(),
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.options.TakeOver, "take-over", false, "change also what another file, a command or Terraform has declared")
	cmd.Flags().StringVar(&f.as, "as", "", "have `declarer` declare it from now on, not the file: terraform, or 'command line'")
	complete(cmd, "as", string(core.DeclaredInTerraform), string(core.DeclaredOnCommandLine))
	cmd.Flags().StringVar(&f.enroll.user, "user", "root", "`user` of the BMCs that the file has none for")
	f.enroll.password.add(cmd)
	cmd.RunE = a.run(func(ctx context.Context, _ []string) error {
		return f.on(a, func(file rackfile.File, d core.Declaration) error { return a.apply(ctx, f, file, d) })
	})
	return cmd
}

func diffCommand(a *app) *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "diff -f FILE",
		Short: "Show what applying a rack file would change",
		Long: `Diff shows what applying a rack file would change, and changes nothing. It exits
with 0 where that is nothing, with 1 where it is something, and with more where it
cannot tell.`,
		Example: "  metalpool diff -f rack.yaml",
		Args:    exactly(),
	}
	f.add(cmd)
	f.options.DryRun = true
	cmd.RunE = a.run(func(ctx context.Context, _ []string) error {
		return undecided(f.on(a, func(_ rackfile.File, d core.Declaration) error { return a.diff(ctx, f, d) }))
	})
	return cmd
}

// applyFlags are those of apply and diff.
type applyFlags struct {
	file    string
	as      string
	options core.ApplyOptions
	output  outputFlag
	enroll  enrollFlags
}

func (f *applyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "the rack `file`; - is standard input")
	cmd.Flags().BoolVar(&f.options.Prune, "prune", false, "remove steps and profiles that a file of this name has declared before, and does not any more")
	f.output.add(cmd)
}

// on reads the file.
func (f *applyFlags) on(a *app, do func(rackfile.File, core.Declaration) error) error {
	if f.file == "" {
		return usagef("which file? name it with -f FILE")
	}
	file, d, err := readRack(a.in, "-f", f.file)
	if err != nil {
		return err
	}
	switch as := core.Declarer(f.as); as {
	case "":
	case core.DeclaredInTerraform, core.DeclaredOnCommandLine:
		d.By = as
	default:
		return usagef("--as %q is neither %q nor %q", f.as, core.DeclaredInTerraform, core.DeclaredOnCommandLine)
	}
	return do(file, d)
}

func (a *app) diff(ctx context.Context, f applyFlags, d core.Declaration) error {
	var changes []core.Declared
	err := a.look(ctx, create, func(ctx context.Context, e core.Operator) (err error) {
		if err := f.findImages(e, d.Images); err != nil {
			return err
		}
		changes, err = e.Apply(ctx, d, f.options)
		return err
	})
	if err != nil {
		return err
	}
	if err := a.showChanges(f, changes); err != nil {
		return err
	}
	var theirs []string
	some := false
	for _, c := range changes {
		some = some || c.Change != core.Unchanged
		if c.From != "" {
			theirs = append(theirs, c.Kind+" "+c.Name+" is declared by "+string(c.From))
		}
	}
	switch {
	case !some:
		a.note("nothing would change")
		return nil
	case len(theirs) > 0:
		a.note("apply refuses this without --take-over: %s", strings.Join(theirs, ", "))
	}
	return answer(1)
}

func (a *app) apply(ctx context.Context, f applyFlags, file rackfile.File, d core.Declaration) error {
	return a.with(ctx, create, func(ctx context.Context, e core.Operator) error {
		if err := f.findImages(e, d.Images); err != nil {
			return err
		}
		p := a.progress()
		f.options.Report = p.report
		changes, err := e.Apply(ctx, d, f.options)
		p.stop()
		if err != nil {
			return err
		}
		if !f.output.json() {
			if err := a.showChanges(f, changes); err != nil {
				return err
			}
		}
		if !slices.ContainsFunc(changes, func(c core.Declared) bool { return c.Change != core.Unchanged }) {
			a.note("nothing changed: all is as the file says")
		}
		enrolling := a.enrollMissing(ctx, e, f, file, d.By, changes)
		if f.output.json() {
			if err := a.printJSON(list(changes)); err != nil {
				return err
			}
		}
		return enrolling
	})
}

// enrollMissing adds the nodes that were not there.
func (a *app) enrollMissing(ctx context.Context, e core.Operator, f applyFlags, file rackfile.File, by core.Declarer, changes []core.Declared) error {
	missing := map[string]*core.Declared{}
	for i, c := range changes {
		if c.Change == core.ToEnroll {
			missing[c.Name] = &changes[i]
		}
	}
	if len(missing) == 0 {
		return nil
	}
	f.enroll.from, f.enroll.node.By = f.file, by
	servers, err := f.enroll.ofFile(ctx, a, file, map[string]string{}, func(n rackfile.Node) bool {
		return missing[core.NodeDeclaration{ID: n.ID, URL: n.BMC.URL}.Label()] != nil
	})
	if err != nil {
		return err
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
func (f *applyFlags) findImages(e core.Operator, images []core.ImageDeclaration) error {
	if _, served := e.(*client.Client); served {
		return nil
	}
	for i, image := range images {
		path := image.Source
		if path == "" || strings.Contains(path, "://") {
			continue
		}
		if !filepath.IsAbs(path) && f.file != "-" {
			path = filepath.Join(filepath.Dir(f.file), path)
		}
		path, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		images[i].Source = path
	}
	return nil
}

func (a *app) showChanges(f applyFlags, changes []core.Declared) error {
	if f.output.json() {
		return a.printJSON(list(changes))
	}
	a.warnOf(changes)
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

// warnOf tells what is declared and may not be meant.
func (a *app) warnOf(changes []core.Declared) {
	for _, c := range changes {
		for _, w := range c.Warnings {
			a.note("warning: %s %s: %s", c.Kind, c.Name, remark(w))
		}
	}
}

// remark is what is said of a part, after the part's name.
func remark(r core.Remark) string {
	if len(r.Path) == 0 {
		return r.Text
	}
	return strings.Join(r.Path, ".") + ": " + r.Text
}
