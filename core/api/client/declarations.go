package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// Apply implements core.Operator.
func (c *Client) Apply(ctx context.Context, d core.Declaration, o core.ApplyOptions) ([]core.Declared, error) {
	return send[[]core.Declared](ctx, c, deed{call{method: http.MethodPost, path: "/declarations", body: api.ApplyAsked{Declaration: d, DryRun: o.DryRun, TakeOver: o.TakeOver, Prune: o.Prune}}, "apply", ""}, o.Report)
}

// Steps implements core.Operator.
func (c *Client) Steps(ctx context.Context) ([]core.Step, error) {
	return read[[]core.Step](ctx, c, call{path: "/steps"})
}

// Step implements core.Operator.
func (c *Client) Step(ctx context.Context, name string) (core.Step, error) {
	return read[core.Step](ctx, c, call{path: at("steps", name)})
}

// Profiles implements core.Operator.
func (c *Client) Profiles(ctx context.Context) ([]core.Profile, error) {
	return read[[]core.Profile](ctx, c, call{path: "/profiles"})
}

// Profile implements core.Operator.
func (c *Client) Profile(ctx context.Context, name string) (core.Profile, error) {
	return read[core.Profile](ctx, c, call{path: at("profiles", name)})
}

// RemoveStep implements core.Operator.
func (c *Client) RemoveStep(ctx context.Context, name string, by core.Declarer, takeOver bool) error {
	return c.remove(ctx, at("steps", name), "remove step "+name, removal(by, takeOver))
}

// RemoveProfile implements core.Operator.
func (c *Client) RemoveProfile(ctx context.Context, name string, by core.Declarer, takeOver bool) error {
	return c.remove(ctx, at("profiles", name), "remove profile "+name, removal(by, takeOver))
}

func removal(by core.Declarer, takeOver bool) url.Values {
	query := asked("by", string(by))
	if takeOver {
		query.Set("take_over", "true")
	}
	return query
}
