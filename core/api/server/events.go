package server

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// mostLooked is how many of the last events are looked through for those that a caller may
// know of, who asks for the last ones of all.
const mostLooked = 20_000

// eventPage is how many events are read and told at a time: a pool may have a million, and
// several may ask for all. Each page looks anew for a user's machines: smaller ones would
// take him longer.
const eventPage = 5000

func (s *Server) events() {
	type filter struct {
		Node       core.NodeID       `query:"node"`
		Allocation core.AllocationID `query:"allocation"`
		After      int64             `query:"after"`
		Since      time.Time         `query:"since" doc:"Not before."`
		Limit      int               `query:"limit" minimum:"0" doc:"The last ones, at most so many."`
	}
	op := s.huma(operation{id: "events", method: http.MethodGet, path: "/events", summary: "list events", role: core.RoleViewer})
	op.Responses = map[string]*huma.Response{"200": {
		Description: http.StatusText(http.StatusOK),
		Content:     map[string]*huma.MediaType{"application/json": {Schema: s.api.OpenAPI().Components.Schemas.Schema(typeOf[[]core.Event](), true, "")}},
	}}
	huma.Register(s.api, op, func(ctx context.Context, in *filter) (*huma.StreamResponse, error) {
		p := caller(ctx)
		if in.Allocation != "" {
			if _, err := s.machine(ctx, p, in.Allocation); err != nil {
				return nil, api.NewProblem(err)
			}
		}
		all := s.eventsFor(p, core.EventFilter{Node: in.Node, Allocation: in.Allocation, After: in.After, Since: in.Since, Limit: in.Limit})
		first, err := all.next(ctx)
		if err != nil {
			return nil, api.NewProblem(err)
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			r, w := humago.Unwrap(c)
			w.Header().Set("Content-Type", "application/json")
			if err := all.tell(r.Context(), w, first); err != nil {
				s.log.Warn("an answer broke off", "operation", op.OperationID, "error", err)
				panic(http.ErrAbortHandler) // it is half there, and must not look whole
			}
		}}, nil
	})
}

// eventPages are the events that a caller may know of, page by page.
type eventPages struct {
	s     *Server
	p     principal
	rest  core.EventFilter // what was not read yet
	left  int              // at most so many of it
	back  bool             // they are looked for from the end backwards, all at once
	ended bool
	there map[core.NodeID]bool // the nodes of his pools; nil: nobody has asked yet
}

func (s *Server) eventsFor(p principal, f core.EventFilter) *eventPages {
	if p.Role == core.RoleUser && f.Allocation == "" {
		f.Owner = p.Name // what others have done is not read either, however much it is
	}
	e := &eventPages{s: s, p: p, rest: f, left: cmp.Or(f.Limit, math.MaxInt)}
	e.back = e.some() && e.left < mostLooked
	return e
}

// next is the next page, which may be empty. There is one until they have ended.
func (e *eventPages) next(ctx context.Context) (page []core.Event, err error) {
	if e.back {
		e.ended = true
		page, err = e.last(ctx)
	} else {
		page, err = e.read(ctx)
	}
	if err != nil {
		return nil, err
	}
	if e.p.Role != core.RoleOperator {
		hideBMCs(page)
	}
	if e.p.Role == core.RoleViewer {
		hideConsoles(page)
	}
	return page, nil
}

// some reports whether there are events that the caller may not know of.
func (e *eventPages) some() bool { return e.p.Role == core.RoleUser || len(e.p.Pools) > 0 }

// read goes on where the page before ended. What has come in since is told, too, but for
// who asked for the last ones.
func (e *eventPages) read(ctx context.Context) ([]core.Event, error) {
	e.rest.First = min(eventPage, e.left)
	page, err := e.s.pool.Events(ctx, e.rest)
	if err != nil {
		return nil, err
	}
	e.left -= len(page)
	if e.ended = e.left == 0 || len(page) < e.rest.First; !e.ended {
		e.rest.After = page[len(page)-1].Seq
		e.rest.Limit = 0 // where the last ones begin is known
	}
	return e.visible(ctx, page)
}

// last are the last ones: it is looked further back until there are so many that the
// caller may know of.
func (e *eventPages) last(ctx context.Context) ([]core.Event, error) {
	for f := e.rest; ; f.Limit = min(4*f.Limit, mostLooked) {
		all, err := e.s.pool.Events(ctx, f)
		if err != nil {
			return nil, err
		}
		shown, err := e.visible(ctx, all)
		if err != nil {
			return nil, err
		}
		if len(shown) >= e.left || len(all) < f.Limit || f.Limit >= mostLooked {
			return shown[max(0, len(shown)-e.left):], nil
		}
	}
}

// tell writes all pages as one JSON array; the first of them was read already.
func (e *eventPages) tell(ctx context.Context, w io.Writer, page []core.Event) error {
	between := "["
	for {
		for _, ev := range page {
			text, err := e.p.told(ev)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "%s%s", between, text); err != nil {
				return err
			}
			between = ","
		}
		if e.ended {
			_, err := io.WriteString(w, either(between == "[", "[]\n", "]\n"))
			return err
		}
		var err error
		if page, err = e.next(ctx); err != nil {
			return err
		}
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

// visible are those of machines and pools that the caller may know of. A user is told of
// his machines alone; the other events of a node are of others, or of nobody.
func (e *eventPages) visible(ctx context.Context, all []core.Event) ([]core.Event, error) {
	if !e.some() {
		return all, nil
	}
	seen := map[core.AllocationID]bool{}
	shown := []core.Event{}
	for _, ev := range all {
		var sees bool
		switch ev.Allocation {
		case "":
			if e.p.Role == core.RoleUser {
				continue
			}
			if e.there == nil {
				var err error
				if e.there, err = e.s.nodesOf(ctx, e.p); err != nil {
					return nil, err
				}
			}
			sees = e.there[ev.Node]
		default:
			var known bool
			if sees, known = seen[ev.Allocation]; !known {
				m, err := e.s.pool.Machine(ctx, ev.Allocation)
				if err != nil && !core.Is(err, core.NotFound) {
					return nil, err
				}
				sees = err == nil && e.p.sees(m)
				seen[ev.Allocation] = sees
			}
		}
		if sees {
			shown = append(shown, ev)
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
