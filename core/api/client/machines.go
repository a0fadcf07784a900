package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// Check implements core.Service.
func (c *Client) Check(ctx context.Context, o core.Order) error {
	return c.ask(ctx, "/orders/check", o)
}

// CheckDeploy implements core.Service.
func (c *Client) CheckDeploy(ctx context.Context, o core.Order) error {
	return c.ask(ctx, "/orders/check-deploy", o)
}

func (c *Client) ask(ctx context.Context, path string, o core.Order) error {
	_, err := read[api.Nothing](ctx, c, call{method: http.MethodPost, path: path, body: question(o)})
	return err
}

func question(o core.Order) api.Question { return api.Question{ID: o.ID, Order: api.NewOrder(o)} }

// Match implements core.Service.
func (c *Client) Match(ctx context.Context, o core.Order) ([]core.Candidate, error) {
	return read[[]core.Candidate](ctx, c, call{method: http.MethodPost, path: "/orders/match", body: question(o)})
}

const (
	opCreate  = "create"
	opAcquire = "acquire"
	opDeploy  = "deploy"
	opRelease = "release"
)

// Create implements core.Service.
func (c *Client) Create(ctx context.Context, o core.Order, report core.Reporter) (core.Machine, error) {
	return c.order(ctx, opCreate, machinePath(o.ID), o, api.NewOrder(o), report)
}

// Allocate implements core.Service.
func (c *Client) Allocate(ctx context.Context, o core.Order, report core.Reporter) (core.Machine, error) {
	body := api.NewOrder(o)
	body.AllocateOnly = true
	return c.order(ctx, opAcquire, machinePath(o.ID), o, body, report)
}

// Deploy implements core.Service.
func (c *Client) Deploy(ctx context.Context, o core.Order, report core.Reporter) (core.Machine, error) {
	return c.order(ctx, opDeploy, machinePath(o.ID)+"/deployment", o, api.NewOrder(o), report)
}

func (c *Client) order(ctx context.Context, op, path string, o core.Order, body api.Order, report core.Reporter) (core.Machine, error) {
	return send[core.Machine](ctx, c, deed{call{method: http.MethodPut, path: path, body: body}, op, o.Name}, report)
}

func machinePath(id core.AllocationID) string { return at("machines", string(id)) }

// Change implements core.Service.
func (c *Client) Change(ctx context.Context, id core.AllocationID, change core.MachineChange) (core.Machine, error) {
	return send[core.Machine](ctx, c, deed{call{method: http.MethodPatch, path: machinePath(id), body: api.NewMachineChange(change)}, "change", string(id)}, nil)
}

// Release implements core.Service.
func (c *Client) Release(ctx context.Context, id core.AllocationID, o core.ReleaseOptions, report core.Reporter) error {
	query := asked("reason", o.Reason)
	if o.WaitClean {
		query.Set("wait_clean", "true")
	}
	_, err := send[api.Nothing](ctx, c, deed{call{method: http.MethodDelete, path: machinePath(id), query: query}, opRelease, string(id)}, report)
	return err
}

// Machine implements core.Service.
func (c *Client) Machine(ctx context.Context, id core.AllocationID) (core.Machine, error) {
	return read[core.Machine](ctx, c, call{path: machinePath(id)})
}

// MachineNamed implements core.Service.
func (c *Client) MachineNamed(ctx context.Context, owner, name string) (core.Machine, error) {
	return read[core.Machine](ctx, c, call{path: "/machine", query: asked("owner", named(owner), "name", name)})
}

// Machines implements core.Service.
func (c *Client) Machines(ctx context.Context, f core.AllocationFilter) ([]core.Machine, error) {
	query := asked("owner", f.Owner, "pool", f.Pool)
	if f.Live {
		query.Set("live", "true")
	}
	return read[[]core.Machine](ctx, c, call{path: "/machines", query: withStates(query, f.States)})
}

func withStates(query url.Values, states []core.State) url.Values {
	text := ""
	for _, s := range states {
		if text != "" {
			text += ","
		}
		text += string(s)
	}
	if text != "" {
		query.Set("state", text)
	}
	return query
}

// Power implements core.Service.
func (c *Client) Power(ctx context.Context, id core.AllocationID) (core.PowerState, error) {
	p, err := read[api.Power](ctx, c, call{path: machinePath(id) + "/power"})
	if err != nil {
		return core.PowerUnknown, err
	}
	return p.State, nil
}

// SetPower implements core.Service.
func (c *Client) SetPower(ctx context.Context, id core.AllocationID, verb core.PowerVerb) error {
	_, err := send[api.Nothing](ctx, c, deed{call{method: http.MethodPut, path: machinePath(id) + "/power", body: api.PowerAsked{Verb: verb}}, "power " + string(verb), string(id)}, nil)
	return err
}
