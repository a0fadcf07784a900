package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core/open"
)

func backupCommand(a *app) *cobra.Command {
	var (
		withKey bool
		o       outputFlag
	)
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Back the pool up, while it is in use",
		Long: `Backup writes the pool as it stands at one moment into FILE, while others go on
working on it. What it wrote it opens and checks. FILE must not be there yet; only you
may read it. It is the same kind of file for a pool in a file and for one in PostgreSQL,
and may be restored into either.

The BMC passwords and other secrets in it are sealed. The key is not in it: a backup
goes to places where a key must not. Keep the key elsewhere, or the secrets are lost;
--with-key writes it into FILE.key, and whoever has both files has every BMC.`,
		Example: "  metalpool backup /backup/pool-$(date +%F).db",
		Args:    exactly("FILE"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			b, err := open.WriteBackup(ctx, a.url, args[0], withKey)
			if err != nil {
				return err
			}
			if o.json() {
				b.Findings = list(b.Findings)
				return a.printJSON(b)
			}
			a.note("%s: %s and %s of pool %s as of %s, %s", b.File, plural(b.Nodes, "node"), plural(b.Machines, "machine"), b.PoolID, stamp(b.Taken), b.Size)
			if b.KeyFile == "" {
				a.note("its secrets are sealed with key %s, which is not in it, since a backup goes where a key must not; keep that key apart ('metalpool key show')", b.Key)
			} else {
				a.note("its secrets are sealed with key %s, which is in %s: whoever has both files has every BMC", b.Key, b.KeyFile)
			}
			if len(b.Findings) > 0 {
				a.note("%s in the pool, and in the backup: see 'metalpool check'", plural(len(b.Findings), "finding"))
			}
			return nil
		}),
	}
	cmd.Flags().BoolVar(&withKey, "with-key", false, "write the key, too, into FILE.key")
	o.add(cmd)
	return cmd
}

func restoreCommand(a *app) *cobra.Command {
	var (
		options open.RestoreOptions
		asOf    string
		o       outputFlag
	)
	cmd := &cobra.Command{
		Use:   "restore {FILE | --as-of TIME}",
		Short: "Put a backup in the place of the pool",
		Long: `Restore puts what 'metalpool backup' wrote in the place of the pool that
--metalpool-url names, a file or a database, in one step. What was there is kept as a
backup itself.

The servers went on since the backup, and nobody knows how: what is free in the backup
may be somebody's by now. So nothing is erased or given out by itself. Nodes that were
free or at work are Quarantined, machines that were being made are Failed, those in use
stay their owners', and work under way from before is fenced out. Tokens are revoked,
since some may have been. docs/store.md says how to go on from there.

A pool that has unreleased machines is replaced only with --replace.

A store that was put back by other means, such as pg_restore or a snapshot of a disk,
is told so with --as-of: the same is done to what it holds.`,
		Example: "  metalpool restore /backup/pool-2026-11-21.db\n  metalpool restore pool.db.bak --key /safe/pool.db.key --replace\n  metalpool restore --as-of 2026-11-21T03:00:00Z",
		Args:    optional("FILE"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			if (len(args) == 0) == (asOf == "") {
				return usagef("give the FILE of a backup, or say with --as-of from when the store is")
			}
			r, err := restored(ctx, a.url, args, asOf, options)
			if err != nil {
				return err
			}
			if o.json() {
				r.Findings = list(r.Findings)
				return a.printJSON(r)
			}
			a.sayRestored(r)
			return nil
		}),
	}
	cmd.Flags().StringVar(&asOf, "as-of", "", "`time` that the store was put back to by other means, as 2026-11-21T03:00:00Z")
	cmd.Flags().BoolVar(&options.Replace, "replace", false, "even a pool that has unreleased machines, is another one, or cannot be opened")
	cmd.Flags().BoolVar(&options.KeepTokens, "keep-tokens", false, "let those in again whose tokens were good then, also such as were revoked since")
	cmd.Flags().StringVar(&options.KeyFile, "key", "", "`file` with the key that the backup is sealed with, or beside which it is as .old (default: the pool's, the one before it, or the backup's FILE.key)")
	o.add(cmd)
	return cmd
}

func restored(ctx context.Context, url string, args []string, asOf string, o open.RestoreOptions) (open.Restored, error) {
	if len(args) == 1 {
		return open.Restore(ctx, url, args[0], o)
	}
	at, err := time.Parse(time.RFC3339, asOf)
	if err != nil || at.After(time.Now()) {
		return open.Restored{}, usagef("--as-of %q is no time in the past; write it as 2026-11-21T03:00:00Z", asOf)
	}
	return open.Distrust(ctx, url, at, o.KeepTokens)
}

// toldNames is how many names one line tells: all are in -o json, and in 'node list'.
const toldNames = 20

// sayRestored tells what may be wrong from now on, the most urgent last: that is what
// stands above the prompt.
func (a *app) sayRestored(r open.Restored) {
	a.note("%s is now as it was at %s (%s): %s, %s", r.URL, stamp(r.Taken), ago(time.Now(), r.Taken), plural(r.Nodes, "node"), plural(r.Machines, "machine"))
	if r.Aside != "" {
		a.note("what was there before is in %s", r.Aside)
	}
	several := func(ids []string, format string) {
		if more := len(ids) - toldNames; more > 0 {
			ids = append(ids[:toldNames:toldNames], fmt.Sprintf("and %d more", more))
		}
		if len(ids) > 0 {
			a.note(format, strings.Join(ids, ", "))
		}
	}
	several(r.Revoked, "tokens that were good then, and are revoked: %s. Make new ones ('metalpool token create')")
	several(r.Kept, "machines that count as in use, as they did then: %s. Some may have been released since; 'metalpool machine ssh' refuses a server that is not the machine any more")
	several(r.Failed, "machines that were being made, and are Failed: %s. See what runs there before you release them, which erases it")
	several(texts(r.KeptOut), "nodes that were kept out, and are: %s. They may have been given out since")
	several(texts(r.Quarantined), "nodes that were free or being cleaned, and are Quarantined: %s. They may have been given out since; see what runs there before 'metalpool node repair', which erases it")
	if len(r.Findings) > 0 {
		a.note("%s in it: see 'metalpool check'", plural(len(r.Findings), "finding"))
	}
	if r.File != "" && r.Aside == "" {
		// Nothing was replaced, so that the pool may still be where the backup was made.
		a.note("the store that the backup is of, if it is still there, is the same pool and works on the same servers, tokens and all: let nobody use it, and remove it or rename its database ('metalpool help store')")
	}
	a.note("nodes that were enrolled since are not in it: enroll them again, without --erase")
}

func texts[T ~string](ids []T) []string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = string(id)
	}
	return all
}

func keyCommand(a *app) *cobra.Command {
	return noun("key", "Look after the key that the pool's secrets are sealed with",
		keyShowCommand(a), keyRotateCommand(a), keyForgetCommand(a))
}

func keyShowCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Say where the key is, and its fingerprint",
		Example: "  metalpool key show",
		Args:    exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			k, err := open.ShowKey(ctx, a.url)
			if err != nil {
				return err
			}
			if o.json() {
				return a.printJSON(k)
			}
			s := a.sheet()
			s.line("Key", k.Fingerprint)
			s.line("File", k.File)
			s.line("Before it", words(k.OldFingerprint, either(k.Old == "", "", "in "+k.Old)))
			return s.print(a.out)
		}),
	}
	o.add(cmd)
	return cmd
}

func keyRotateCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Make a new key, and seal all secrets with it",
		Long: `Rotate makes a new key, seals every secret of the pool with it in one transaction, and
puts the new key in the place of the present one. Cut short at any point, the pool
opens with one of the two, and the next command does the rest.

Processes that have the pool open are refused from then on, and say so: run their
commands again. The key before is kept in FILE.old, since backups from its time need
it, until 'metalpool key forget'. A secret that the old key may have told to somebody
is not safer for it: change the BMC passwords, too.`,
		Example: "  metalpool key rotate",
		Args:    exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			k, err := open.RotateKey(ctx, a.url)
			if err != nil {
				return err
			}
			if o.json() {
				return a.printJSON(k)
			}
			a.note("%s sealed with key %s, which is in %s", plural(k.Resealed, "secret"), k.Fingerprint, k.File)
			a.note("the key before, %s, is in %s: backups from before need it; 'metalpool key forget' removes it", k.OldFingerprint, k.Old)
			return nil
		}),
	}
	o.add(cmd)
	return cmd
}

func keyForgetCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "forget",
		Short: "Remove the key from before the last rotate",
		Long: `Forget removes the key that the pool was sealed with before the last rotate. What is
sealed with it, the secrets in backups from that time, can be read by nobody any more.`,
		Example: "  metalpool key forget",
		Args:    exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			k, err := open.ForgetKey(ctx, a.url)
			if err != nil {
				return err
			}
			a.note("key %s is gone from %s", k.OldFingerprint, k.Old)
			return nil
		}),
	}
}
