package server

import (
	"context"
	"net/http"
	"net/url"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// OfNode is the path of what is done with one node.
type OfNode struct {
	ID core.NodeID `path:"id" minLength:"1" maxLength:"63"`
}

func (n OfNode) about() string { return string(n.ID) }

type enrolled struct {
	Asked
	Body api.Enrollment
}

// about tells of the BMC's address only the host: the rest is not checked yet, and
// people put passwords there.
func (e *enrolled) about() string {
	u, err := url.Parse(e.Body.URL)
	if err != nil {
		return string(e.Body.ID)
	}
	return string(e.Body.ID) + " (" + u.Host + ")"
}

// nodes registers the inventory.
func (s *Server) nodes() {
	read(s, operation{id: "node", method: http.MethodGet, path: "/nodes/{id}", summary: "find a node", role: core.RoleViewer},
		func(ctx context.Context, p principal, in *OfNode) (core.Node, error) {
			n, err := s.inPools(ctx, p, in.ID)
			if err != nil {
				return core.Node{}, err
			}
			own, err := s.own(ctx, p)
			return p.shown(n, own), err
		})
	type filter struct {
		Pool  string       `query:"pool"`
		State []core.State `query:"state"`
	}
	read(s, operation{id: "nodes", method: http.MethodGet, path: "/nodes", summary: "list nodes", role: core.RoleViewer},
		func(ctx context.Context, p principal, in *filter) ([]core.Node, error) {
			all, err := s.pool.Nodes(ctx, core.NodeFilter{Pool: in.Pool, States: in.State})
			if err != nil {
				return nil, err
			}
			own, err := s.own(ctx, p)
			shown := []core.Node{}
			for _, n := range all {
				if p.Allows(n.Pool) {
					shown = append(shown, p.shown(n, own))
				}
			}
			return shown, err
		})
	write(s, operation{id: "enroll", method: http.MethodPost, path: "/nodes", summary: "enroll a node", role: core.RoleOperator},
		func(ctx context.Context, p principal, in *enrolled, report core.Reporter) (core.Node, error) {
			if err := p.InPool("enroll", in.Body.Pool); err != nil {
				return core.Node{}, err
			}
			if err := ownPassword("enroll", in.Body.Password); err != nil {
				return core.Node{}, err
			}
			n, err := s.pool.Enroll(ctx, core.Enrollment(in.Body), report)
			return p.shown(n, nil), err
		})
	type changed struct {
		Asked
		OfNode
		Body api.NodeChange
	}
	write(s, operation{id: "set-node", method: http.MethodPatch, path: "/nodes/{id}", summary: "change a node", role: core.RoleOperator},
		func(ctx context.Context, p principal, in *changed, _ core.Reporter) (core.Node, error) {
			if in.Body.Pool != nil {
				if err := p.InPool("move to pool "+*in.Body.Pool, *in.Body.Pool); err != nil {
					return core.Node{}, err
				}
			}
			if in.Body.Password != nil {
				if err := ownPassword("set", *in.Body.Password); err != nil {
					return core.Node{}, err
				}
			}
			return s.onNode(p, func() (core.Node, error) {
				return s.pool.SetNode(core.AskedFromAfar(ctx), in.ID, in.Body.Core())
			})
		})
	read(s, operation{id: "drift", method: http.MethodGet, path: "/nodes/{id}/drift", summary: "compare a node with its profile", role: core.RoleOperator},
		func(ctx context.Context, p principal, in *OfNode) (core.Drift, error) {
			if _, err := s.inPools(ctx, p, in.ID); err != nil {
				return core.Drift{}, err
			}
			return s.drifts.at(ctx, string(in.ID), func(ctx context.Context) (core.Drift, error) { return s.pool.Drift(ctx, in.ID) })
		})
	read(s, operation{id: "bios", method: http.MethodGet, path: "/nodes/{id}/bios", summary: "list a node's BIOS attributes", role: core.RoleOperator},
		func(ctx context.Context, p principal, in *OfNode) ([]core.BIOSAttribute, error) {
			if _, err := s.inPools(ctx, p, in.ID); err != nil {
				return nil, err
			}
			all, err := s.bioses.at(ctx, string(in.ID), func(ctx context.Context) ([]core.BIOSAttribute, error) { return s.pool.BIOS(ctx, in.ID) })
			return list(all), err
		})
	s.nodeVerbs()
}

func (s *Server) nodeVerbs() {
	type why struct {
		Asked
		OfNode
		Because
	}
	for verb, do := range map[string]func(context.Context, core.NodeID, string) (core.Node, error){
		"repair": s.pool.Repair, "resume": s.pool.Resume, "pause": s.pool.Pause, "set-up": s.pool.SetUp,
	} {
		write(s, operation{id: verb, method: http.MethodPost, path: "/nodes/{id}/" + verb, summary: verb + " a node", role: core.RoleOperator},
			func(ctx context.Context, p principal, in *why, _ core.Reporter) (core.Node, error) {
				return s.onNode(p, func() (core.Node, error) {
					s.drifts.forget(string(in.ID))
					s.bioses.forget(string(in.ID))
					return do(ctx, in.ID, in.Reason)
				})
			})
	}
	write(s, operation{id: "retire", method: http.MethodDelete, path: "/nodes/{id}", summary: "retire a node", role: core.RoleOperator},
		func(ctx context.Context, p principal, in *why, _ core.Reporter) (api.Nothing, error) {
			_, err := s.onNode(p, func() (core.Node, error) { return core.Node{}, s.pool.Retire(ctx, in.ID, in.Reason) })
			return api.Nothing{}, err
		})
	type rest struct {
		Asked
		OfNode
	}
	write(s, operation{id: "await-rest", method: http.MethodPost, path: "/nodes/{id}/rest", summary: "wait for a node's rest", role: core.RoleOperator},
		func(ctx context.Context, p principal, in *rest, report core.Reporter) (core.Node, error) {
			return s.onNode(p, func() (core.Node, error) { return s.pool.AwaitRest(ctx, in.ID, report) })
		})
}

// inPools finds a node in a pool of the caller's.
func (s *Server) inPools(ctx context.Context, p principal, id core.NodeID) (core.Node, error) {
	n, err := s.pool.Node(ctx, id)
	switch {
	case err != nil:
		return core.Node{}, p.blurred(err)
	case !p.Allows(n.Pool):
		return core.Node{}, noNode(id)
	}
	return n, nil
}

// noNode is told of other pools' nodes as of those that are not there.
func noNode(id core.NodeID) error {
	return &core.Error{Op: "find", Node: id, Kind: core.NotFound, Err: plain("no such node"), Hint: "see 'metalpool node list'"}
}

// onNode does something to a node, of which the engine looks whether the caller has part in
// its pool, with the change itself.
func (s *Server) onNode(p principal, do func() (core.Node, error)) (core.Node, error) {
	n, err := do()
	if err != nil {
		return core.Node{}, p.blurred(err)
	}
	return p.shown(n, nil), nil
}

// blurred takes the names of other pools' nodes out of advice.
func (p principal) blurred(err error) error {
	e, ok := err.(*core.Error) //nolint:errorlint // as the engine gave it
	if len(p.Pools) == 0 || !ok || e.Kind != core.NotFound {
		return err
	}
	told := *e
	told.Hint = "see 'metalpool node list'"
	return &told
}

// own is what a user may know that a node is there for.
func (s *Server) own(ctx context.Context, p principal) (map[core.AllocationID]bool, error) {
	if p.Role != core.RoleUser {
		return nil, nil
	}
	machines, err := s.pool.Machines(ctx, core.AllocationFilter{Owner: p.Name, Live: true})
	own := map[core.AllocationID]bool{}
	for _, m := range machines {
		own[m.ID] = true
	}
	return own, err
}
