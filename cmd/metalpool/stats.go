package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
)

func statsCommand(a *app) *cobra.Command {
	var (
		since, by string
		filter    core.StatsFilter
		o         outputFlag
	)
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "How long the phases of deploys and cleans take, by model and image",
		Long: `Stats sums up every deploy and clean that was begun, and every set-up for a pool: how often each of its phases was
done, how often the work ended there instead, and how long it took: half of the times at
most P50, 19 of 20 at most P95. A phase is a step, from the end of the one before it; all
is the whole of a job that came to its end. Queueing for a node is no part of it.`,
		Example: "  metalpool stats --since 720h\n  metalpool stats --by node --pool gpu\n  metalpool stats --by none -o json",
		Args:    exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			back, err := core.ParseDuration("--since", since)
			if err != nil {
				return asUsage(err)
			}
			if back > 0 {
				filter.Since = time.Now().Add(-back)
			}
			if filter.By, err = core.ParseStatsKeys(by); err != nil {
				return asUsage(err)
			}
			return a.look(ctx, open.Options{}, func(ctx context.Context, e core.Operator) error {
				all, err := e.Stats(ctx, filter)
				if err != nil {
					return err
				}
				if o.json() {
					return a.printJSON(list(all))
				}
				return a.statsTable(all, filter.By)
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&since, "since", "", "only work that was begun not `longer` ago than this, such as 720h")
	f.StringVar(&filter.Pool, "pool", "", "only of this `pool`")
	f.StringVar(&by, "by", "model,image", "tell apart by these `keys`: model, image, pool, node, with commas between them; or none")
	complete(cmd, "by", "model,image", "model", "image", "pool", "node", "none")
	o.add(cmd)
	return cmd
}

func (a *app) statsTable(all []core.PhaseStats, by []core.StatsKey) error {
	if len(all) == 0 {
		a.note("no deploy or clean was begun")
		return nil
	}
	columns := map[core.StatsKey]func(core.PhaseStats) string{
		core.ByModel: func(s core.PhaseStats) string { return s.Model },
		core.ByImage: func(s core.PhaseStats) string { return s.Image },
		core.ByPool:  func(s core.PhaseStats) string { return s.Pool },
		core.ByNode:  func(s core.PhaseStats) string { return string(s.Node) },
	}
	head := []string{"JOB"}
	for _, key := range core.StatsKeys {
		if slices.Contains(by, key) {
			head = append(head, strings.ToUpper(string(key)))
		}
	}
	t := a.table(append(head, "PHASE", "COUNT", "FAILED", "P50", "P95", "MAX")...).sharing(len(head))
	for _, s := range all {
		cells := []string{string(s.Job)}
		for _, key := range core.StatsKeys {
			if slices.Contains(by, key) {
				cells = append(cells, columns[key](s))
			}
		}
		took := func(d core.Seconds) string { return either(s.Count == 0, "", took(d.Duration())) }
		t.row(append(cells, s.Phase, strconv.Itoa(s.Count), strconv.Itoa(s.Failed), took(s.P50), took(s.P95), took(s.Max))...)
	}
	return t.print(a.out)
}
