package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

func tokenCommand(a *app) *cobra.Command {
	return noun("token", "Say who gets in through a server, and what each may do",
		tokenCreateCommand(a), tokenListCommand(a), tokenRevokeCommand(a))
}

// tokenView is a token as programs read it; the secret is there only when it is made.
type tokenView struct {
	core.Token
	Secret string `json:"secret,omitempty"`
}

func tokenCreateCommand(a *app) *cobra.Command {
	var (
		order          core.TokenOrder
		role, lifetime string
		o              outputFlag
	)
	cmd := &cobra.Command{
		Use:   "create OWNER",
		Short: "Make a token, which is shown this once",
		Long: `Create makes a token for 'metalpool serve'. What is taken with it belongs to OWNER: a
person, a team, a CI job. Several tokens may be of one owner, so that one can take
another's place while its machines go on.

The token alone is printed, this once; what is stored tells nobody what it is. A
viewer reads; a user takes machines, and sees no others than the owner's; an operator
may do everything.`,
		Example: `  metalpool token create ci --pools ci --quota 6 --lifetime 2160h
  metalpool token create ann --role operator`,
		Args: exactly("OWNER"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			order.Name, order.Role = args[0], core.Role(role)
			var err error
			if order.Lifetime, err = core.ParseDuration("--lifetime", lifetime); err != nil {
				return asUsage(err)
			}
			return a.with(ctx, create, func(ctx context.Context, e core.Operator) error {
				t, secret, err := e.CreateToken(ctx, order)
				if err != nil {
					return err
				}
				if o.json() {
					return a.printJSON(tokenView{t, secret})
				}
				a.note("%s of %s, %s; keep it: it is not shown again", t.ID, t.Name, t.Role)
				_, err = fmt.Fprintln(a.out, secret)
				return err
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&role, "role", string(core.RoleUser), "`role`: viewer, user or operator")
	f.StringSliceVar(&order.Pools, "pools", nil, "the only `pools` it is for (default: all)")
	f.IntVar(&order.Quota, "quota", 0, "how `many` machines the owner may have at a time (default: no limit)")
	f.StringVar(&lifetime, "lifetime", "", "how `long` it is good, such as 720h (default: until it is revoked)")
	o.add(cmd)
	complete(cmd, "role", string(core.RoleViewer), string(core.RoleUser), string(core.RoleOperator))
	completeWith(cmd, "pools", a, poolNames)
	return cmd
}

func tokenListCommand(a *app) *cobra.Command {
	var (
		all bool
		o   outputFlag
	)
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List tokens, without what they are",
		Example: "  metalpool token list --all",
		Args:    exactly(),
		RunE: a.reads(func(ctx context.Context, e core.Operator, _ []string) error {
			tokens, err := e.Tokens(ctx)
			if err != nil {
				return err
			}
			now := time.Now()
			shown := []core.Token{}
			for _, t := range tokens {
				if all || tokenState(t, now) == "good" {
					shown = append(shown, t)
				}
			}
			if o.json() {
				return a.printJSON(shown)
			}
			if len(shown) == 0 {
				a.note("no tokens; make one with 'metalpool token create'")
				return nil
			}
			t := a.table("ID", "OWNER", "ROLE", "POOLS", "QUOTA", "STATE", "EXPIRES", "AGE", "BY").sparing("BY", "AGE", "QUOTA")
			for _, k := range shown {
				quota, expires := "", "never"
				if k.Quota > 0 {
					quota = number(k.Quota)
				}
				if !k.ExpiresAt.IsZero() {
					expires = k.ExpiresAt.Local().Format(time.DateTime)
				}
				t.row(k.ID, k.Name, string(k.Role), strings.Join(k.Pools, ","), quota, tokenState(k, now), expires, age(now, k.CreatedAt), k.CreatedBy)
			}
			return t.print(a.out)
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "also those that were revoked, or have expired")
	o.add(cmd)
	return cmd
}

func tokenState(t core.Token, now time.Time) string {
	switch {
	case !t.RevokedAt.IsZero():
		return "revoked"
	case !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt):
		return "expired"
	}
	return "good"
}

func tokenRevokeCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID...",
		Short: "End tokens at once",
		Long: `Revoke ends tokens, which are named by their IDs; see 'metalpool token list'. The
machines that were taken with them stay their owner's.`,
		Example: "  metalpool token revoke t-5ae455070a35aeb4aaf0",
		Args:    some("ID"),
		RunE: a.onPool(func(ctx context.Context, e core.Operator, ids []string) error {
			return each(ctx, a.fail, 1, "revoked", ids, func(ctx context.Context, id string) error {
				t, err := e.RevokeToken(ctx, id)
				if err == nil {
					a.note("%s of %s is revoked", t.ID, t.Name)
				}
				return err
			})
		}),
	}
}
