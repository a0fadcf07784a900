package server

import (
	"context"
	"net/http"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

type tokenOrdered struct {
	Asked
	Body api.TokenOrder
}

func (t *tokenOrdered) about() string { return t.Body.Name + " (" + string(t.Body.Role) + ")" }

// tokens registers who may come in, and what they did.
func (s *Server) tokens() {
	write(s, operation{id: "create-token", method: http.MethodPost, path: "/tokens", summary: "create a token", role: core.RoleOperator, each: true},
		func(ctx context.Context, p principal, in *tokenOrdered, _ core.Reporter) (api.TokenMade, error) {
			if err := p.Everywhere("create token " + in.Body.Name); err != nil {
				return api.TokenMade{}, err
			}
			b, request := in.Body, in.Request
			if request != "" {
				request = p.ID + "/" + request
			}
			t, secret, err := s.pool.CreateToken(ctx, core.TokenOrder{Name: b.Name, Role: b.Role, Pools: b.Pools, Quota: b.Quota, Lifetime: time.Duration(b.Lifetime), By: p.Name, Request: request})
			return api.TokenMade{Token: t, Secret: secret}, err
		})
	read(s, operation{id: "tokens", method: http.MethodGet, path: "/tokens", summary: "list tokens", role: core.RoleOperator},
		func(ctx context.Context, p principal, _ *struct{}) ([]core.Token, error) {
			if err := p.Everywhere("list tokens"); err != nil {
				return nil, err
			}
			all, err := s.pool.Tokens(ctx)
			return list(all), err
		})
	type revoked struct {
		Asked
		OfName
	}
	write(s, operation{id: "revoke-token", method: http.MethodDelete, path: "/tokens/{name}", summary: "revoke a token", role: core.RoleOperator},
		func(ctx context.Context, p principal, in *revoked, _ core.Reporter) (core.Token, error) {
			if err := p.Everywhere("revoke token " + in.Name); err != nil {
				return core.Token{}, err
			}
			t, err := s.pool.RevokeToken(ctx, in.Name)
			if err == nil {
				s.present.putOut(t.ID)
			}
			return t, err
		})
	type filter struct {
		Since time.Time `query:"since" doc:"Not before."`
		Who   string    `query:"who"`
		After int64     `query:"after"`
		Limit int       `query:"limit" minimum:"0"`
	}
	read(s, operation{id: "audit", method: http.MethodGet, path: "/audit", summary: "read the audit log", role: core.RoleOperator},
		func(ctx context.Context, p principal, in *filter) ([]core.AuditEntry, error) {
			if err := p.Everywhere("read the audit log"); err != nil {
				return nil, err
			}
			all, err := s.pool.Audit(ctx, core.AuditFilter{Since: in.Since, Who: in.Who, After: in.After, Limit: in.Limit})
			return list(all), err
		})
}
