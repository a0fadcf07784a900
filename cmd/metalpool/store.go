package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core/open"
)

func storeCommand(a *app) *cobra.Command {
	return noun("store", "Where the pool is kept", storeCopyCommand(a), storeReopenCommand(a))
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

FROM is closed before it is read: whoever opens it, or has it open, is told where the
pool is kept, since two stores of one pool would give each server to two. Where somebody
works on a node it refuses, so stop the servers and commands that use the pool before.
Cut short at any point, the same command again goes on; 'metalpool store reopen FROM'
gives the copy up. Copied back, the pool is open in FROM again. The other hosts need the
new address, and for a database the pool's key.

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
			away := "drop what is in there"
			if strings.HasPrefix(c.From, "sqlite://") {
				away = "remove it and the files beside it"
			}
			a.note("%s is closed: who opens it is told where the pool is. Give the others the new address, see that all is well ('metalpool check'), and %s", c.From, away)
			return nil
		}),
	}
	o.add(cmd)
	return cmd
}

func storeReopenCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "reopen ADDRESS",
		Short: "Use a store again whose pool was copied elsewhere",
		Long: `Reopen has the pool be kept at ADDRESS again, after 'metalpool store copy' has closed it
there: because the copy was given up, or was cut short and is not to be finished. What
was done in the copy since is not in it. Nobody may use the copy any more: two stores of
one pool give each server to two.

To go back with all that was done since, copy the pool back instead.`,
		Example: "  metalpool store reopen /var/lib/metalpool/pool.db",
		Args:    exactly("ADDRESS"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			pool, err := open.ReopenStore(ctx, args[0])
			if err != nil {
				return err
			}
			a.note("pool %s is kept in %s again; nobody may use %s any more", pool.PoolID, pool.URL, pool.Moved.To)
			return nil
		}),
	}
}
