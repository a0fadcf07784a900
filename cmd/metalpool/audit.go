package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
)

func auditCommand(a *app) *cobra.Command {
	var (
		since  string
		filter core.AuditFilter
		o      outputFlag
	)
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Who did what through a server, when, and from where",
		Long: `Audit lists every write that somebody asked of a server: one line with what it began to
change, and one with what became of it. What was done on the pool's own host is in the
events ('metalpool node events', 'metalpool machine logs').`,
		Example: "  metalpool audit --since 24h\n  metalpool audit --who ci -o json > audit.json",
		Args:    exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			back, err := core.ParseDuration("--since", since)
			if err != nil {
				return asUsage(err)
			}
			if back > 0 {
				filter.Since = time.Now().Add(-back)
			}
			return a.look(ctx, open.Options{}, func(ctx context.Context, e core.Operator) error {
				entries, err := e.Audit(ctx, filter)
				if err != nil {
					return err
				}
				if o.json() {
					return a.printJSON(list(entries))
				}
				return a.auditTable(entries)
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&since, "since", "", "only what is not `older` than this, such as 24h")
	f.StringVar(&filter.Who, "who", "", "only what this `owner` asked for")
	f.IntVar(&filter.Limit, "last", 0, "only the last so `many`")
	o.add(cmd)
	return cmd
}

func (a *app) auditTable(entries []core.AuditEntry) error {
	if len(entries) == 0 {
		a.note("nothing was asked of a server")
		return nil
	}
	t := a.table("TIME", "WHO", "TOKEN", "FROM", "WHAT", "SUBJECT", "OUTCOME", "WHY").sparing("TOKEN", "FROM")
	for _, e := range entries {
		t.row(e.At.Local().Format(time.DateTime), e.Who, e.Token, e.From, e.What, e.Subject, string(e.Outcome), brief(joined(e.Reason, e.Error)))
	}
	return t.print(a.out)
}
