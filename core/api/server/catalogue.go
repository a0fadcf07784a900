package server

import (
	"context"
	"net/http"
	"slices"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// OfName is the path of what is done with a pool or an image.
type OfName struct {
	Name string `path:"name" minLength:"1" maxLength:"64"`
}

func (n OfName) about() string { return n.Name }

// removed is what is to be gone.
type removed struct {
	Asked
	OfName
	By       core.Declarer `query:"by" maxLength:"256" doc:"Who removes it."`
	TakeOver bool          `query:"take_over" doc:"Remove also what somebody else has declared."`
}

// catalogue registers pools, images, and what is told of all.
func (s *Server) catalogue() {
	s.policies()
	s.declarations()
	s.imageCatalogue()
	s.stories()
}

func (s *Server) policies() {
	read(s, operation{id: "pools", method: http.MethodGet, path: "/pools", summary: "list pools", role: core.RoleViewer},
		func(ctx context.Context, p principal, _ *struct{}) ([]core.Pool, error) {
			all, err := s.pool.Pools(ctx)
			shown := []core.Pool{}
			for _, pool := range all {
				if p.Allows(pool.Name) {
					shown = append(shown, pool)
				}
			}
			return shown, err
		})
	read(s, operation{id: "pool", method: http.MethodGet, path: "/pools/{name}", summary: "find a pool", role: core.RoleViewer},
		func(ctx context.Context, p principal, in *OfName) (core.Pool, error) {
			if err := p.InPool("find pool "+in.Name, in.Name); err != nil {
				return core.Pool{}, err
			}
			return s.pool.Pool(ctx, in.Name)
		})
	type declared struct {
		Asked
		OfName
		New  bool          `query:"new" doc:"Refuse to change one that is there."`
		By   core.Declarer `query:"by" maxLength:"256" doc:"Who declares it. What somebody else has declared is refused."`
		Body core.Pool
	}
	write(s, operation{id: "set-pool", method: http.MethodPut, path: "/pools/{name}", summary: "declare a pool", role: core.RoleOperator},
		func(ctx context.Context, p principal, in *declared, _ core.Reporter) (api.Nothing, error) {
			if err := p.InPool("set pool "+in.Name, in.Name); err != nil {
				return api.Nothing{}, err
			}
			if in.Body.Name != in.Name {
				return api.Nothing{}, &core.Error{Op: "set pool " + in.Name, Kind: core.Invalid, Err: plain("the policy is that of a pool " + in.Body.Name), Hint: "pools are not renamed; name it as the path does"}
			}
			pool := in.Body
			pool.DeclaredBy = in.By // and not of whom it was when it was read
			if in.New {
				return api.Nothing{}, s.pool.AddPool(ctx, pool)
			}
			return api.Nothing{}, s.pool.SetPool(ctx, pool)
		})
	write(s, operation{id: "remove-pool", method: http.MethodDelete, path: "/pools/{name}", summary: "remove a pool", role: core.RoleOperator},
		func(ctx context.Context, p principal, in *removed, _ core.Reporter) (api.Nothing, error) {
			if err := p.InPool("remove pool "+in.Name, in.Name); err != nil {
				return api.Nothing{}, err
			}
			return api.Nothing{}, s.pool.RemovePool(ctx, in.Name, in.By, in.TakeOver)
		})
	write(s, operation{id: "remove-image", method: http.MethodDelete, path: "/images/{name}", summary: "remove an image", role: core.RoleOperator},
		func(ctx context.Context, p principal, in *removed, _ core.Reporter) (api.Nothing, error) {
			if err := p.Everywhere("remove image " + in.Name); err != nil {
				return api.Nothing{}, err
			}
			return api.Nothing{}, s.pool.RemoveImage(ctx, in.Name, in.By, in.TakeOver)
		})
}

func (s *Server) imageCatalogue() {
	read(s, operation{id: "images", method: http.MethodGet, path: "/images", summary: "list images", role: core.RoleViewer},
		func(ctx context.Context, p principal, _ *struct{}) ([]core.Image, error) {
			all, err := s.pool.Images(ctx)
			for i := range all {
				all[i] = p.shownImage(all[i])
			}
			return list(all), err
		})
	read(s, operation{id: "image", method: http.MethodGet, path: "/images/{name}", summary: "find an image", role: core.RoleViewer},
		func(ctx context.Context, p principal, in *OfName) (core.Image, error) {
			i, err := s.pool.Image(ctx, in.Name)
			return p.shownImage(i), err
		})
	type added struct {
		Asked
		OfName
		Body api.ImageAdded
	}
	write(s, operation{id: "add-image", method: http.MethodPut, path: "/images/{name}", summary: "add an image", role: core.RoleOperator},
		func(ctx context.Context, p principal, in *added, report core.Reporter) (core.Image, error) {
			if err := p.Everywhere("add image " + in.Name); err != nil {
				return core.Image{}, err
			}
			i := in.Body
			source, err := s.source(ctx, in.Name, i.Source)
			if err != nil {
				return core.Image{}, err
			}
			named := ""
			if source != i.Source {
				named = i.Source
			}
			return s.pool.AddImage(core.AskedFromAfar(ctx), core.Image{Name: in.Name, Source: source, Named: named, SHA256: i.SHA256, Format: i.Format, Arch: i.Arch, User: i.User, Boot: i.Boot, DeclaredBy: i.By},
				func(done, total core.Bytes) { report(core.Progress{Step: "read", Done: done, Total: total}) })
		})
}

// stories registers what happened, and what is to be done about it.
func (s *Server) stories() {
	s.events()
	s.stats()
	read(s, operation{id: "stages", method: http.MethodGet, path: "/stages", summary: "tell how far work is", role: core.RoleViewer},
		func(ctx context.Context, p principal, _ *struct{}) ([]core.Stage, error) {
			all, err := s.pool.Stages(ctx)
			if err != nil {
				return nil, err
			}
			own, err := s.own(ctx, p)
			return list(slices.DeleteFunc(all, func(st core.Stage) bool { return !p.Allows(st.Pool) || p.Role == core.RoleUser && !own[st.Allocation] })), err
		})
	type reconciled struct {
		Asked
		Body api.ReconcileAsked
	}
	write(s, operation{id: "reconcile", method: http.MethodPost, path: "/reconcile", summary: "reconcile", role: core.RoleOperator},
		func(ctx context.Context, p principal, in *reconciled, report core.Reporter) (api.Reconciled, error) {
			if err := p.Everywhere("reconcile"); err != nil {
				return api.Reconciled{}, err
			}
			outcomes, err := s.pool.Reconcile(ctx, core.ReconcileOptions(in.Body), report)
			r := api.Reconciled{Outcomes: list(outcomes)}
			if err != nil {
				r.Problem = api.NewProblem(err)
			}
			return r, nil
		})
	read(s, operation{id: "verify", method: http.MethodGet, path: "/invariants", summary: "check the invariants", role: core.RoleOperator},
		func(ctx context.Context, p principal, _ *struct{}) ([]core.Violation, error) {
			if err := p.Everywhere("check the invariants"); err != nil {
				return nil, err
			}
			found, err := s.pool.Verify(ctx)
			return list(found), err
		})
}
