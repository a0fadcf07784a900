package server

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

type applied struct {
	Asked
	Body api.ApplyAsked
}

// about names who declares and what, as far as a line of the audit log has room for it.
func (a *applied) about() string {
	var what []string
	for i, d := range a.Body.Each() {
		by := string(d.By)
		if i == 0 && a.Body.DryRun {
			by += " (dry run)"
		}
		what = append(what, strings.TrimSuffix(by+": "+named(d), ": "))
	}
	return strings.Join(what, "; ")
}

// named is what a declaration names.
func named(d core.Declaration) string {
	var what []string
	add := func(kind string, names []string) {
		if len(names) > 0 {
			what = append(what, kind+" "+strings.Join(names, ", "))
		}
	}
	add("images", namesOf(d.Images, func(i core.ImageDeclaration) string { return i.Name }))
	add("steps", namesOf(d.Steps, func(s core.Step) string { return s.Name }))
	add("profiles", namesOf(d.Profiles, func(p core.Profile) string { return p.Name }))
	add("pools", namesOf(d.Pools, func(p core.PoolDeclaration) string { return p.Name }))
	add("nodes", namesOf(d.Nodes, core.NodeDeclaration.Label))
	return strings.Join(what, "; ")
}

func namesOf[T any](all []T, name func(T) string) []string {
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = name(one)
	}
	return names
}

// declarations registers steps, profiles, and what declares them. Users see what they may
// choose from, and not what is behind it.
func (s *Server) declarations() {
	read(s, operation{id: "steps", method: http.MethodGet, path: "/steps", summary: "list steps", role: core.RoleOperator},
		func(ctx context.Context, _ principal, _ *struct{}) ([]core.Step, error) {
			all, err := s.pool.Steps(ctx)
			return list(all), err
		})
	read(s, operation{id: "step", method: http.MethodGet, path: "/steps/{name}", summary: "find a step", role: core.RoleOperator},
		func(ctx context.Context, _ principal, in *OfName) (core.Step, error) {
			return s.pool.Step(ctx, in.Name)
		})
	read(s, operation{id: "profiles", method: http.MethodGet, path: "/profiles", summary: "list profiles", role: core.RoleViewer},
		func(ctx context.Context, _ principal, _ *struct{}) ([]core.Profile, error) {
			all, err := s.pool.Profiles(ctx)
			return list(all), err
		})
	read(s, operation{id: "profile", method: http.MethodGet, path: "/profiles/{name}", summary: "find a profile", role: core.RoleViewer},
		func(ctx context.Context, _ principal, in *OfName) (core.Profile, error) {
			return s.pool.Profile(ctx, in.Name)
		})
	write(s, operation{id: "apply", method: http.MethodPost, path: "/declarations", summary: "apply a declaration", role: core.RoleOperator, body: maxDeclaration},
		func(ctx context.Context, p principal, in *applied, report core.Reporter) ([]core.Declared, error) {
			d, err := s.mayApply(ctx, p, in.Body)
			if err != nil {
				return nil, err
			}
			changes, err := s.pool.Apply(core.AskedFromAfar(ctx), d, core.ApplyOptions{DryRun: in.Body.DryRun, TakeOver: in.Body.TakeOver, Prune: in.Body.Prune, Report: report})
			return list(changes), err
		})
	write(s, operation{id: "remove-step", method: http.MethodDelete, path: "/steps/{name}", summary: "remove a step", role: core.RoleOperator},
		func(ctx context.Context, p principal, in *removed, _ core.Reporter) (api.Nothing, error) {
			if err := p.Everywhere("remove step " + in.Name); err != nil {
				return api.Nothing{}, err
			}
			return api.Nothing{}, s.pool.RemoveStep(ctx, in.Name, in.By, in.TakeOver)
		})
	write(s, operation{id: "remove-profile", method: http.MethodDelete, path: "/profiles/{name}", summary: "remove a profile", role: core.RoleOperator},
		func(ctx context.Context, p principal, in *removed, _ core.Reporter) (api.Nothing, error) {
			if err := p.Everywhere("remove profile " + in.Name); err != nil {
				return api.Nothing{}, err
			}
			return api.Nothing{}, s.pool.RemoveProfile(ctx, in.Name, in.By, in.TakeOver)
		})
}

// maxDeclaration bounds a declaration, in bytes: some dozens of the largest steps.
const maxDeclaration = 16 << 20

// mayApply refuses what a caller may not declare, and finds the images' files.
func (s *Server) mayApply(ctx context.Context, p principal, asked api.ApplyAsked) (core.Declaration, error) {
	d, err := s.mayDeclare(ctx, p, asked.Declaration, asked.Prune)
	if err != nil {
		return d, err
	}
	d.With = slices.Clone(d.With)
	for i, other := range d.With {
		if d.With[i], err = s.mayDeclare(ctx, p, other, asked.Prune); err != nil {
			return d, err
		}
	}
	return d, nil
}

func (s *Server) mayDeclare(ctx context.Context, p principal, d core.Declaration, prune bool) (core.Declaration, error) {
	if prune || len(d.Images)+len(d.Steps)+len(d.Profiles)+len(d.Nodes) > 0 {
		if err := p.Everywhere("apply"); err != nil {
			return d, err
		}
	}
	for _, pool := range d.Pools {
		if err := p.InPool("set pool "+pool.Name, pool.Name); err != nil {
			return d, err
		}
	}
	d.Images = slices.Clone(d.Images)
	for i, image := range d.Images {
		if image.Source == "" {
			continue
		}
		source, err := s.source(ctx, image.Name, image.Source)
		if err != nil {
			return d, err
		}
		d.Images[i].Source = source
	}
	return d, s.ownNodes(ctx, d.Nodes)
}

// ownNodes refuses references of declared nodes, as where one is enrolled or changed, but
// for those that are there.
func (s *Server) ownNodes(ctx context.Context, asked []core.NodeDeclaration) error {
	if len(asked) == 0 {
		return nil
	}
	all, err := s.pool.Nodes(ctx, core.NodeFilter{})
	if err != nil {
		return err
	}
	there, at := map[core.NodeID]core.Node{}, map[string]core.Node{}
	for _, n := range all {
		there[n.ID], at[n.Spec.BMC.Host()] = n, n
	}
	for _, d := range asked {
		n, known := there[d.ID]
		if d.ID == "" {
			n, known = at[core.Endpoint{URL: d.URL}.Host()]
		}
		if d.Password == nil || known && n.Spec.BMC.PasswordFrom == core.Reference(*d.Password) {
			continue
		}
		if err := ownPassword("declare node "+d.Label(), *d.Password); err != nil {
			return err
		}
	}
	return nil
}
