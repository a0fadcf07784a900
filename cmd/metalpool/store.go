package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core/open"
)

func storeCommand(a *app) *cobra.Command {
	return noun("store", "Where the pool is kept", storeCopyCommand(a))
}

func storeCopyCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:   "copy FROM TO",
		Short: "Copy the pool into a database or a file, with its history",
		Long: `Copy has an empty place hold the pool that is kept in another one: nodes, machines,
those that were given up, leases, events with their numbers and times, the audit log,
tokens. FROM and TO are addresses as METALPOOL_URL has them, of a file or of a database.
It is the same pool afterwards, under the same key. All of it is written in one
transaction, and kept only once it was read back the same.

Stop the servers and commands that use the pool before: where somebody works on a node,
or has written to the pool by the end, it refuses. Afterwards put FROM away, before
somebody uses it again: two copies of one pool would give each server to two. The other
hosts need the new address, and for a database the pool's key.

A password has no place on a command line: put that of a database into the file which
PGPASSFILE names.`,
		Example: `  metalpool store copy ~/.local/share/metalpool/pool.db postgres://pool@db.example/pool
  metalpool store copy postgres://pool@db.example/pool /var/lib/metalpool/pool.db`,
		Args: exactly("FROM", "TO"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			c, err := open.CopyStore(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			if o.json() {
				return a.printJSON(c)
			}
			a.note("pool %s is in %s now: %s, %s, %s", c.PoolID, c.To, plural(c.Copied.Nodes, "node"), plural(c.Copied.Allocations, "allocation"), plural(c.Copied.Events, "event"))
			if c.KeyFile != "" {
				a.note("its key is in %s", c.KeyFile)
			}
			away := "drop what is in " + c.From
			if file, ok := strings.CutPrefix(c.From, "sqlite://"); ok {
				away = "move " + file + " and the files beside it away"
			}
			a.note("%s is as it was, and nobody must use it any more: %s once you have seen that all is well ('metalpool check')", c.From, away)
			return nil
		}),
	}
	o.add(cmd)
	return cmd
}
