package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// OfMachine is the path of what is done with one machine. It is exported, as OfNode and
// OfName are, since the framework fills in nothing else.
type OfMachine struct {
	ID core.AllocationID `path:"id" minLength:"1" maxLength:"64" doc:"The allocation's ID, of the caller's own making."`
}

func (m OfMachine) about() string { return string(m.ID) }

type ordered struct {
	Asked
	OfMachine
	Body api.Order
}

func (o *ordered) about() string { return string(o.ID) + " (" + o.Body.Name + ")" }

// machines registers what adapters need of a pool.
func (s *Server) machines() {
	write(s, operation{id: "create", method: http.MethodPut, path: "/machines/{id}", summary: "create a machine", role: core.RoleUser, body: api.MaxBody, order: true},
		func(ctx context.Context, p principal, in *ordered, report core.Reporter) (core.Machine, error) {
			o := in.Body.Core(in.ID, p.Name)
			// The client may be at another server by the time that this job is cut off.
			o.Quota, o.KeepsPlace, o.Served = p.Quota, true, true
			if err := s.mayOrder(ctx, p, o); err != nil {
				return core.Machine{}, err
			}
			if in.Body.AllocateOnly {
				return s.pool.Allocate(ctx, o, report)
			}
			others := &elsewhere{s: s, id: in.ID, report: report}
			defer others.leave()
			return s.pool.Create(ctx, o, others.tell)
		})
	write(s, operation{id: "deploy", method: http.MethodPut, path: "/machines/{id}/deployment", summary: "deploy on a machine's node", role: core.RoleUser, body: api.MaxBody},
		func(ctx context.Context, p principal, in *ordered, report core.Reporter) (core.Machine, error) {
			if _, err := s.machine(ctx, p, in.ID); err != nil {
				return core.Machine{}, err
			}
			others := &elsewhere{s: s, id: in.ID, report: report}
			defer others.leave()
			o := in.Body.Core(in.ID, p.Name)
			o.Served = true
			return s.pool.Deploy(ctx, o, others.tell)
		})
	type changed struct {
		Asked
		OfMachine
		Body api.MachineChange
	}
	write(s, operation{id: "change-machine", method: http.MethodPatch, path: "/machines/{id}", summary: "change a machine", role: core.RoleUser},
		func(ctx context.Context, p principal, in *changed, _ core.Reporter) (core.Machine, error) {
			if _, err := s.machine(ctx, p, in.ID); err != nil {
				return core.Machine{}, err
			}
			return s.pool.Change(ctx, in.ID, in.Body.Core())
		})
	type released struct {
		Asked
		OfMachine
		Because
		Wait bool `query:"wait_clean" doc:"Until the node is erased."`
	}
	write(s, operation{id: "release", method: http.MethodDelete, path: "/machines/{id}", summary: "release a machine", role: core.RoleUser},
		func(ctx context.Context, p principal, in *released, report core.Reporter) (api.Nothing, error) {
			// An ID that nobody has taken is released as well: a create may be on its way.
			if _, err := s.machine(ctx, p, in.ID); err != nil && !s.unknown(ctx, in.ID) {
				return api.Nothing{}, err
			}
			reason := in.Reason
			if reason == "" {
				reason = "released by " + p.Name
			}
			return api.Nothing{}, s.pool.Release(ctx, in.ID, core.ReleaseOptions{WaitClean: in.Wait, Reason: reason}, report)
		})
	type turned struct {
		Asked
		OfMachine
		Body api.PowerAsked
	}
	write(s, operation{id: "set-power", method: http.MethodPut, path: "/machines/{id}/power", summary: "turn a machine's power", role: core.RoleUser},
		func(ctx context.Context, p principal, in *turned, _ core.Reporter) (api.Nothing, error) {
			if _, err := s.machine(ctx, p, in.ID); err != nil {
				return api.Nothing{}, err
			}
			defer s.powers.forget(string(in.ID))
			return api.Nothing{}, s.pool.SetPower(ctx, in.ID, in.Body.Verb)
		})
	read(s, operation{id: "power", method: http.MethodGet, path: "/machines/{id}/power", summary: "read a machine's power", role: core.RoleViewer},
		func(ctx context.Context, p principal, in *OfMachine) (api.Power, error) {
			if _, err := s.machine(ctx, p, in.ID); err != nil {
				return api.Power{}, err
			}
			state, err := s.powers.at(ctx, string(in.ID), func(ctx context.Context) (core.PowerState, error) { return s.pool.Power(ctx, in.ID) })
			return api.Power{State: state}, err
		})
	read(s, operation{id: "machine", method: http.MethodGet, path: "/machines/{id}", summary: "find a machine", role: core.RoleViewer},
		func(ctx context.Context, p principal, in *OfMachine) (core.Machine, error) {
			return s.machine(ctx, p, in.ID)
		})
	s.listings()
	s.questions()
}

// listings registers how machines are found otherwise than by ID.
func (s *Server) listings() {
	type named struct {
		Owner string `query:"owner" doc:"Default: the caller."`
		Name  string `query:"name" required:"true" maxLength:"63"`
	}
	read(s, operation{id: "machine-named", method: http.MethodGet, path: "/machine", summary: "find a machine by name", role: core.RoleViewer},
		func(ctx context.Context, p principal, in *named) (core.Machine, error) {
			owner := p.owner(in.Owner)
			m, err := s.pool.MachineNamed(ctx, owner, in.Name)
			if err == nil && !p.sees(m) {
				err = noMachine(in.Name, errors.New(owner+" has no machine of this name"))
			}
			return visible(m, err)
		})
	type filter struct {
		Owner string       `query:"owner"`
		Pool  string       `query:"pool"`
		State []core.State `query:"state"`
		Live  bool         `query:"live" doc:"Only those that were not given up."`
	}
	read(s, operation{id: "machines", method: http.MethodGet, path: "/machines", summary: "list machines", role: core.RoleViewer},
		func(ctx context.Context, p principal, in *filter) ([]core.Machine, error) {
			f := core.AllocationFilter{Owner: in.Owner, Pool: in.Pool, States: in.State, Live: in.Live}
			if p.Role == core.RoleUser {
				f.Owner = p.Name
			}
			all, err := s.pool.Machines(ctx, f)
			if err != nil {
				return nil, err
			}
			list := []core.Machine{}
			for _, m := range all {
				if p.sees(m) {
					list = append(list, m)
				}
			}
			return list, nil
		})
}

// questions registers what is asked of an order, and changes nothing.
func (s *Server) questions() {
	type question struct{ Body api.Question }
	ask := func(id, path, summary string, do func(ctx context.Context, p principal, o core.Order) error) {
		read(s, operation{id: id, method: http.MethodPost, path: path, summary: summary, role: core.RoleUser, body: api.MaxBody},
			func(ctx context.Context, p principal, in *question) (api.Nothing, error) {
				o := in.Body.Order.Core(in.Body.ID, p.Name)
				o.Quota = p.Quota
				return api.Nothing{}, do(ctx, p, o)
			})
	}
	ask("check", "/orders/check", "check an order", func(ctx context.Context, p principal, o core.Order) error {
		if err := s.mayOrder(ctx, p, o); err != nil {
			return err
		}
		return s.pool.Check(ctx, o)
	})
	ask("check-deploy", "/orders/check-deploy", "check a deployment", func(ctx context.Context, p principal, o core.Order) error {
		if _, err := s.machine(ctx, p, o.ID); err != nil {
			return err
		}
		return s.pool.CheckDeploy(ctx, o)
	})
	read(s, operation{id: "match", method: http.MethodPost, path: "/orders/match", summary: "match an order", role: core.RoleViewer, body: api.MaxBody},
		func(ctx context.Context, p principal, in *question) ([]core.Candidate, error) {
			o := in.Body.Order.Core(in.Body.ID, p.Name)
			if err := p.InPool("match", o.Request.Pool); err != nil {
				return nil, err
			}
			if err := s.mayName(ctx, p, o.Request.Node); err != nil {
				return nil, err
			}
			found, err := s.pool.Match(ctx, o)
			return list(found), err
		})
}

// owner is whose machine a name means.
func (p principal) owner(asked string) string {
	if asked == "" {
		return p.Name
	}
	return asked
}

// mayOrder refuses an order for a pool that the caller has no part in, or under the ID
// of somebody else's machine.
func (s *Server) mayOrder(ctx context.Context, p principal, o core.Order) error {
	if err := p.InPool("create", o.Request.Pool); err != nil {
		return err
	}
	if err := s.mayName(ctx, p, o.Request.Node); err != nil {
		return err
	}
	m, err := s.pool.Machine(ctx, o.ID)
	switch {
	case core.Is(err, core.NotFound):
		return nil
	case err != nil:
		return err // whose it is, is not known; the engine would tell all that is different
	case p.sees(m):
		return nil
	}
	return &core.Error{Op: "create", Allocation: o.Name, Kind: core.Exists, Err: errors.New("the ID " + string(o.ID) + " is taken"), Hint: "make a new ID for a new machine"}
}

// mayName refuses a node of another pool as one that is not there: the engine's own
// refusal would tell which pool has it, or what others are called.
func (s *Server) mayName(ctx context.Context, p principal, id core.NodeID) error {
	if id == "" || len(p.Pools) == 0 {
		return nil
	}
	n, err := s.pool.Node(ctx, id)
	if err == nil && p.Allows(n.Pool) {
		return nil
	}
	if err != nil && !core.Is(err, core.NotFound) {
		return err
	}
	return noNode(id)
}

// machine finds one that is there for the caller.
func (s *Server) machine(ctx context.Context, p principal, id core.AllocationID) (core.Machine, error) {
	m, err := s.pool.Machine(ctx, id)
	if err == nil && !p.sees(m) {
		err = noMachine(string(id), errors.New("no allocation has this ID"))
	}
	return visible(m, err)
}

// unknown reports whether nobody has an ID.
func (s *Server) unknown(ctx context.Context, id core.AllocationID) bool {
	_, err := s.pool.Machine(ctx, id)
	return core.Is(err, core.NotFound)
}

// noMachine is told of what is there for others as of what is not there at all.
func noMachine(asked string, why error) error {
	return &core.Error{Op: "find machine", Allocation: asked, Kind: core.NotFound, Err: why, Hint: "see 'metalpool machine list'"}
}

func visible[T any](v T, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return v, nil
}

// list is never null.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
