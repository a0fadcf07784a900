package server

import (
	"context"
	"net/http"
	"time"

	"github.com/metalpool/metalpool/core"
)

func (s *Server) stats() {
	type filter struct {
		Since time.Time       `query:"since" doc:"Only work that was begun then or later."`
		Pool  string          `query:"pool"`
		By    []core.StatsKey `query:"by,explode" doc:"What durations are told apart by: model, image, pool, node."`
	}
	const op = "sum up durations"
	read(s, operation{id: "stats", method: http.MethodGet, path: "/stats", summary: op, role: core.RoleOperator},
		func(ctx context.Context, p principal, in *filter) ([]core.PhaseStats, error) {
			// Who is for some pools names one of them.
			check := p.Everywhere(op)
			if in.Pool != "" {
				check = p.InPool(op, in.Pool)
			}
			if check != nil {
				return nil, check
			}
			all, err := s.pool.Stats(ctx, core.StatsFilter{Since: in.Since, Pool: in.Pool, By: in.By})
			return list(all), err
		})
}
