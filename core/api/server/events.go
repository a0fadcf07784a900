package server

import (
	"context"
	"net/http"
	"time"

	"github.com/metalpool/metalpool/core"
)

// mostLooked is how many of the last events are looked through for those that a caller may
// know of, who asks for the last ones of all.
const mostLooked = 20_000

func (s *Server) events() {
	type filter struct {
		Node       core.NodeID       `query:"node"`
		Allocation core.AllocationID `query:"allocation"`
		After      int64             `query:"after"`
		Since      time.Time         `query:"since" doc:"Not before."`
		Limit      int               `query:"limit" minimum:"0" doc:"The last ones, at most so many."`
	}
	read(s, operation{id: "events", method: http.MethodGet, path: "/events", summary: "list events", role: core.RoleViewer},
		func(ctx context.Context, p principal, in *filter) ([]core.Event, error) {
			f := core.EventFilter{Node: in.Node, Allocation: in.Allocation, After: in.After, Since: in.Since, Limit: in.Limit}
			if f.Allocation != "" {
				if _, err := s.machine(ctx, p, f.Allocation); err != nil {
					return nil, err
				}
			}
			all, err := s.eventsFor(ctx, p, f)
			if p.Role != core.RoleOperator {
				hideBMCs(all)
			}
			if p.Role == core.RoleViewer {
				hideConsoles(all)
			}
			return list(all), err
		})
}

// eventsFor are the events that the caller may know of. Where he wants the last ones, it is
// looked further back until there are so many.
func (s *Server) eventsFor(ctx context.Context, p principal, f core.EventFilter) ([]core.Event, error) {
	if p.Role != core.RoleUser && len(p.Pools) == 0 {
		return s.pool.Events(ctx, f)
	}
	if p.Role == core.RoleUser && f.Allocation == "" {
		f.Owner = p.Name // what others have done is not read either, however much it is
	}
	most := f.Limit
	for {
		all, err := s.pool.Events(ctx, f)
		if err != nil {
			return nil, err
		}
		shown, err := s.visibleEvents(ctx, p, all)
		if err != nil || most == 0 {
			return shown, err
		}
		if len(shown) >= most || len(all) < f.Limit || f.Limit >= mostLooked {
			return shown[max(0, len(shown)-most):], nil
		}
		f.Limit = min(4*f.Limit, mostLooked)
	}
}

// hideBMCs takes out of the events of enrolments where the BMC is.
func hideBMCs(all []core.Event) {
	for i, e := range all {
		if e.On == core.Enroll || e.On == core.EnrollErase {
			all[i].Message = ""
		}
	}
}

// hideConsoles takes out what consoles said, which viewers do not read.
func hideConsoles(all []core.Event) {
	for i, e := range all {
		if e.Type == core.ConsoleSaid {
			all[i].Message = "what it says is for operators"
		}
	}
}

// visibleEvents are those of machines and pools that the caller may know of. A user is told
// of his machines alone; the other events of a node are of others, or of nobody.
func (s *Server) visibleEvents(ctx context.Context, p principal, all []core.Event) ([]core.Event, error) {
	var there map[core.NodeID]bool
	seen := map[core.AllocationID]bool{}
	shown := []core.Event{}
	for _, e := range all {
		var sees bool
		switch e.Allocation {
		case "":
			if p.Role == core.RoleUser {
				continue
			}
			if there == nil {
				var err error
				if there, err = s.nodesOf(ctx, p); err != nil {
					return nil, err
				}
			}
			sees = there[e.Node]
		default:
			var known bool
			if sees, known = seen[e.Allocation]; !known {
				m, err := s.pool.Machine(ctx, e.Allocation)
				if err != nil && !core.Is(err, core.NotFound) {
					return nil, err
				}
				sees = err == nil && p.sees(m)
				seen[e.Allocation] = sees
			}
		}
		if sees {
			shown = append(shown, e)
		}
	}
	return shown, nil
}

// nodesOf are the nodes of the caller's pools.
func (s *Server) nodesOf(ctx context.Context, p principal) (map[core.NodeID]bool, error) {
	nodes, err := s.pool.Nodes(ctx, core.NodeFilter{})
	there := map[core.NodeID]bool{}
	for _, n := range nodes {
		there[n.ID] = p.Allows(n.Pool)
	}
	return there, err
}
