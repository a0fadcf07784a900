package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/docs"
)

// app is what all commands of one run share.
type app struct {
	in       io.Reader
	out, err io.Writer
	url      string
	running  bool // cobra accepted the command line
	// asOwner: who runs the command is there for machines of his.
	asOwner bool
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "metalpool",
		Short: "Bare-metal servers, as easy to take and to give back as cloud VMs",
		Long: `metalpool keeps a pool of bare-metal servers. A server that is taken boots, gets
its OS and your keys, and answers SSH; given back, it is erased, verified, and
ready for the next one.

Which pool is meant is said by --metalpool-url, else METALPOOL_URL, else it is the
one in ~/.local/share/metalpool.`,
		Example: `  metalpool lab up --nodes 6                              a rack to rehearse on
  metalpool node enroll --bmc https://10.0.0.7 --user root
  metalpool image add debian --source debian.qcow2 --user debian
  metalpool machine create web-1 --image debian`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs, // so that showHelp sees a wrong word
		RunE:          showHelp,
		Version:       thisVersion(),
	}
	root.SetFlagErrorFunc(unknownFlag)
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetUsageTemplate(usageTemplate(root.UsageTemplate()))
	root.PersistentFlags().StringVar(&a.url, "metalpool-url", "", "`url` of the pool: a path, https://host:port of a server, or postgres://user@host/database for its operator (METALPOOL_URL)")
	root.AddGroup(
		&cobra.Group{ID: groupPool, Title: "The pool:"},
		&cobra.Group{ID: groupMachines, Title: "Machines:"},
		&cobra.Group{ID: groupStore, Title: "The pool's store:"},
		&cobra.Group{ID: groupRehearse, Title: "To rehearse:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupPool, nodeCommand(a), poolCommand(a), imageCommand(a), stepCommand(a), profileCommand(a), applyCommand(a), diffCommand(a), exportCommand(a), schemaCommand(a), watchCommand(a), reconcileCommand(a), serveCommand(a), tokenCommand(a), auditCommand(a), statsCommand(a))
	add(groupStore, checkCommand(a), backupCommand(a), restoreCommand(a), keyCommand(a), storeCommand(a))
	add(groupMachines, machineCommand(a), loginCommand(a))
	add(groupRehearse, labCommand(a))
	root.AddCommand(versionCommand(a))
	root.SetHelpCommand(helpCommand(root))
	return root
}

const (
	groupPool     = "pool"
	groupStore    = "store"
	groupMachines = "machines"
	groupRehearse = "rehearse"
)

// usageTemplate drops the line that a noun alone would have: it does nothing by
// itself.
func usageTemplate(cobras string) string {
	return strings.Replace(cobras, "{{if .Runnable}}", "{{if and .Runnable (not .HasAvailableSubCommands)}}", 1)
}

// noun is a command that only holds others. Alone it shows its help; a word that
// it does not know is refused, where cobra would print the help and exit 0.
func noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		RunE:  showHelp,
	}
	cmd.AddCommand(verbs...)
	return cmd
}

func showHelp(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return unknownVerb(cmd, args[0])
}

// unknownWord is the first word of a line that should be a command and is none; "" where
// there is no such word.
func unknownWord(root *cobra.Command, args []string) string {
	cmd, rest, err := root.Find(args)
	if err != nil || !cmd.HasAvailableSubCommands() {
		return ""
	}
	for i := 0; i < len(rest); i++ {
		switch {
		case rest[i] == "--metalpool-url":
			i++ // and its value
		case !strings.HasPrefix(rest[i], "-"):
			return rest[i]
		case cmd.Flags().Lookup(strings.SplitN(strings.TrimLeft(rest[i], "-"), "=", 2)[0]) == nil:
			return "" // a flag that comes before any word
		}
	}
	return ""
}

func unknownVerb(cmd *cobra.Command, word string) error {
	cmd.SuggestionsMinimumDistance = 2
	near := nounsWith(cmd, word)
	if len(near) == 0 {
		near = cmd.SuggestionsFor(word)
	}
	if len(near) > 0 {
		return usagef("unknown command %q for %q; did you mean %s?", word, cmd.CommandPath(), strings.Join(near, " or "))
	}
	return usagef("unknown command %q for %q", word, cmd.CommandPath())
}

// unknownFlag adds to a flag that a command has not got those that come near to it: some
// commands take one label, others conditions on labels.
func unknownFlag(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || len(unknown.GetSpecifiedName()) < 2 {
		return err
	}
	word := unknown.GetSpecifiedName()
	flags := &cobra.Command{SuggestionsMinimumDistance: 2} // what cobra does for words it does for no flag
	var near []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Hidden:
		case strings.HasSuffix(f.Name, "-"+word):
			near = append(near, f.Name)
		default:
			flags.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
		}
	})
	near = append(near, flags.SuggestionsFor(word)...)
	if len(near) == 0 {
		return err
	}
	return fmt.Errorf("%w; did you mean --%s? See '%s --help'", err, strings.Join(near, " or --"), cmd.CommandPath())
}

// nounsWith lists what a verb without its noun may mean: who says "create" where
// docker-machine does means "machine create".
func nounsWith(cmd *cobra.Command, verb string) []string {
	var found []string
	for _, noun := range cmd.Commands() {
		for _, c := range noun.Commands() {
			if c.Name() == verb || c.HasAlias(verb) {
				found = append(found, noun.Name()+" "+c.Name())
			}
		}
	}
	return found
}

// manual are the pages that an operator asks for first; 'help' shows all there are.
var manual = []string{"rack-file", "steps", "plugins", "hardware", "store", "timeouts", "lab"}

// helpCommand is cobra's, but refuses what it has no help for.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND|PAGE]",
		Short: "Help about any command; pages of the manual: " + strings.Join(manual, ", "),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				if page, found := docs.Page(args[0]); found {
					_, err := root.OutOrStdout().Write(page)
					return err
				}
			}
			cmd, rest, err := root.Find(args)
			switch {
			case err != nil:
				return asLine(err)
			case len(rest) > 0:
				return unknownVerb(cmd, rest[0])
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}

// work is what a command does with the pool.
type work func(ctx context.Context, e core.Operator) error

// onPool is a command that changes the pool that is there, and needs nothing of its
// flags checked before.
func (a *app) onPool(do func(ctx context.Context, e core.Operator, args []string) error) func(*cobra.Command, []string) error {
	return a.run(func(ctx context.Context, args []string) error {
		return a.with(ctx, open.Options{}, func(ctx context.Context, e core.Operator) error { return do(ctx, e, args) })
	})
}

// reads is onPool for a command that only reads.
func (a *app) reads(do func(ctx context.Context, e core.Operator, args []string) error) func(*cobra.Command, []string) error {
	return a.run(func(ctx context.Context, args []string) error {
		return a.look(ctx, open.Options{}, func(ctx context.Context, e core.Operator) error { return do(ctx, e, args) })
	})
}

// run is every command's beginning: from here on errors are no longer cobra's.
func (a *app) run(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.running = true
		a.asOwner = cmd.HasParent() && cmd.Parent().Name() == machineNoun
		return interrupted(cmd.Context(), do(cmd.Context(), args))
	}
}

// create is for commands that make the pool where there is none.
var create = open.Options{Create: true}

// with opens the pool for as long as do works, and has somebody do what was left there.
// What is wrong with the command line is found before: it must not make a pool.
func (a *app) with(ctx context.Context, o open.Options, do work) error {
	return a.look(ctx, o, func(ctx context.Context, e core.Operator) error {
		a.attend(ctx, e)
		return do(ctx, e)
	})
}

// look is with for who only looks: a server of the pool may be about to take up what
// nobody does this moment, and a look is not to set off an erase from this host.
func (a *app) look(ctx context.Context, o open.Options, do work) error {
	e, err := a.open(ctx, o)
	if err != nil {
		return err
	}
	if embedded, ok := e.(*core.Engine); ok && a.asOwner { // a server sees whose token it is
		embedded.Seen(ctx, core.DefaultOwner())
	}
	err = do(ctx, e)
	if closing := e.Close(); closing != nil {
		err = errors.Join(err, closing)
	}
	return err
}

// attend looks after what others left: where work has no worker any more, this
// command is the next one on the store, and says so.
func (a *app) attend(ctx context.Context, e core.Operator) {
	embedded, ok := e.(*core.Engine)
	if !ok {
		return // a server looks after its pool itself
	}
	left, err := embedded.Attend(ctx)
	switch {
	case err != nil:
		a.note("whether all work has a worker cannot be told: %v", err)
	case len(left) > 0:
		a.note("nobody worked on %s any more; a worker in the background goes on", nodeNames(left))
	}
}

func nodeNames(ids []core.NodeID) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = string(id)
	}
	return strings.Join(texts, ", ")
}

func (a *app) open(ctx context.Context, o open.Options) (core.Operator, error) {
	e, err := open.Operator(ctx, a.url, o)
	if there, ok := err.(*core.Error); ok && there.Kind == core.NotFound { //nolint:errorlint // the outermost one has the hint
		if pool := a.runningLab(ctx); pool != "" {
			told := *there
			told.Hint = "a lab runs, whose pool is 'export METALPOOL_URL=" + shellWord(pool) + "'; else " + there.Hint
			return nil, &told
		}
	}
	return e, err
}

// interrupted says that it was Ctrl-C, where the error alone would blame somebody.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	if !errors.Is(err, context.Cause(ctx)) && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("interrupted: %w", err)
	}
	return &interruptedError{err}
}

// interruptedError is work that Ctrl-C ended, and nothing else. Where that left it says
// only what follows.
type interruptedError struct{ err error }

func (i *interruptedError) Error() string {
	if e, ok := errors.AsType[*core.Error](i.err); ok && e.Hint != "" {
		return "interrupted; " + e.Hint
	}
	return "interrupted"
}

func (i *interruptedError) Unwrap() error { return i.err }

// note tells people something that is not data.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.err, format+"\n", args...)
}
