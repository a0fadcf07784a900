package server

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// mostLines are told of a console, and read whatever is asked for; the schema says the
// same.
const mostLines = 10000

// consoles registers what servers print. Who sees a node's console is who has the
// machine on it, from when it was deployed, or operates the pool: what a BMC has kept
// from before may be another's.
func (s *Server) consoles() {
	type tail struct {
		OfNode
		Lines int `query:"lines" default:"50" minimum:"1" maximum:"10000"`
	}
	read(s, operation{id: "console-tail", method: http.MethodGet, path: "/nodes/{id}/console", summary: "read the end of a console", role: core.RoleUser},
		func(ctx context.Context, p principal, in *tail) (api.Lines, error) {
			n, err := s.mayListen(ctx, p, in.ID)
			if err != nil {
				return api.Lines{}, err
			}
			what, tail := "node "+string(in.ID), func(ctx context.Context) ([]string, error) { return s.pool.ConsoleTail(ctx, in.ID, mostLines) }
			if p.Role != core.RoleOperator {
				what, tail = "machine "+string(n.Allocation), func(ctx context.Context) ([]string, error) {
					return s.pool.MachineConsole(ctx, n.Allocation, mostLines)
				}
			}
			lines, err := s.tails.at(ctx, what, tail)
			return api.Lines{Lines: list(lines[max(0, len(lines)-in.Lines):])}, err
		})
	o := operation{id: "console", method: http.MethodGet, path: "/nodes/{id}/console/stream", summary: "follow a console", role: core.RoleOperator,
		instead: "read the end of your machine's with 'metalpool node console NODE --tail 50'"}
	op := s.huma(o)
	op.Responses = map[string]*huma.Response{"200": {
		Description: "What the server prints, as it comes.",
		Content:     map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}}
	huma.Register(s.api, op, func(ctx context.Context, in *OfNode) (*huma.StreamResponse, error) {
		p := caller(ctx)
		if _, err := s.mayListen(ctx, p, in.ID); err != nil {
			return nil, api.NewProblem(err)
		}
		console, err := s.pool.Console(ctx, in.ID)
		if err != nil {
			return nil, api.NewProblem(err)
		}
		return &huma.StreamResponse{Body: func(c huma.Context) {
			defer console.Close()
			r, w := humago.Unwrap(c)
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			go p.whileIn(ctx, func() { _ = console.Close() }) // which ends the relay
			w.Header().Set("Content-Type", "application/octet-stream")
			relay(w, console)
		}}, nil
	})
}

// mayListen refuses a console of a node that is not the caller's now.
func (s *Server) mayListen(ctx context.Context, p principal, id core.NodeID) (core.Node, error) {
	n, err := s.pool.Node(ctx, id)
	if err != nil {
		return n, p.blurred(err)
	}
	own, err := s.own(ctx, p)
	if err != nil {
		return n, err
	}
	if !p.Allows(n.Pool) || p.Role == core.RoleUser && !own[n.Allocation] {
		return n, &core.Error{Op: "open console", Node: id, Kind: core.NotFound, Err: plain("no machine of " + p.Name + " is on this node"), Hint: "see 'metalpool machine list'"}
	}
	return n, nil
}

// relay sends on what is read, as soon as it is.
func relay(w http.ResponseWriter, from io.Reader) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // not every writer can
	if sendWithin(c, func() error { return nil }) != nil {
		return
	}
	buffer := make([]byte, 4<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if sendWithin(c, func() error { _, err := w.Write(buffer[:n]); return err }) != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
