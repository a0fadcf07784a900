package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

func nodePath(id core.NodeID) string { return at("nodes", string(id)) }

// Node implements core.Service.
func (c *Client) Node(ctx context.Context, id core.NodeID) (core.Node, error) {
	return read[core.Node](ctx, c, call{path: nodePath(id)})
}

// Nodes implements core.Service.
func (c *Client) Nodes(ctx context.Context, f core.NodeFilter) ([]core.Node, error) {
	return read[[]core.Node](ctx, c, call{path: "/nodes", query: withStates(asked("pool", f.Pool), f.States)})
}

// onNode does something with one node.
func (c *Client) onNode(ctx context.Context, method, path, op string, query url.Values, body any, report core.Reporter) (core.Node, error) {
	return send[core.Node](ctx, c, deed{call{method: method, path: path, query: query, body: body}, op, ""}, report)
}

// Enroll implements core.Operator.
func (c *Client) Enroll(ctx context.Context, in core.Enrollment, report core.Reporter) (core.Node, error) {
	return c.onNode(ctx, http.MethodPost, "/nodes", "enroll", nil, api.Enrollment(in), report)
}

// SetNode implements core.Operator.
func (c *Client) SetNode(ctx context.Context, id core.NodeID, change core.NodeChange) (core.Node, error) {
	return c.onNode(ctx, http.MethodPatch, nodePath(id), "set", nil, api.NewNodeChange(change), nil)
}

// Repair implements core.Operator.
func (c *Client) Repair(ctx context.Context, id core.NodeID, reason string) (core.Node, error) {
	return c.onNode(ctx, http.MethodPost, nodePath(id)+"/repair", "repair", asked("reason", reason), nil, nil)
}

// Resume implements core.Operator.
func (c *Client) Resume(ctx context.Context, id core.NodeID, reason string) (core.Node, error) {
	return c.onNode(ctx, http.MethodPost, nodePath(id)+"/resume", "resume", asked("reason", reason), nil, nil)
}

// Pause implements core.Operator.
func (c *Client) Pause(ctx context.Context, id core.NodeID, reason string) (core.Node, error) {
	return c.onNode(ctx, http.MethodPost, nodePath(id)+"/pause", "pause", asked("reason", reason), nil, nil)
}

// Drift implements core.Operator.
func (c *Client) Drift(ctx context.Context, id core.NodeID) (core.Drift, error) {
	return read[core.Drift](ctx, c, call{path: nodePath(id) + "/drift"})
}

// BIOS implements core.Operator.
func (c *Client) BIOS(ctx context.Context, id core.NodeID) ([]core.BIOSAttribute, error) {
	return read[[]core.BIOSAttribute](ctx, c, call{path: nodePath(id) + "/bios"})
}

// SetUp implements core.Operator.
func (c *Client) SetUp(ctx context.Context, id core.NodeID, reason string) (core.Node, error) {
	return c.onNode(ctx, http.MethodPost, nodePath(id)+"/set-up", "set up", asked("reason", reason), nil, nil)
}

// Retire implements core.Operator.
func (c *Client) Retire(ctx context.Context, id core.NodeID, reason string) error {
	return c.remove(ctx, nodePath(id), "retire", asked("reason", reason))
}

// AwaitRest implements core.Operator.
func (c *Client) AwaitRest(ctx context.Context, id core.NodeID, report core.Reporter) (core.Node, error) {
	return c.onNode(ctx, http.MethodPost, nodePath(id)+"/rest", "wait for the node", nil, nil, report)
}

// Console implements core.Operator. The stream ends with Close or with ctx.
func (c *Client) Console(ctx context.Context, id core.NodeID) (io.ReadCloser, error) {
	resp, err := c.exchange(ctx, call{method: http.MethodGet, path: nodePath(id) + "/console/stream"})
	if err != nil {
		return nil, final(err)
	}
	return resp.Body, nil
}

// ConsoleTail implements core.Operator.
func (c *Client) ConsoleTail(ctx context.Context, id core.NodeID, lines int) ([]string, error) {
	l, err := read[api.Lines](ctx, c, call{path: nodePath(id) + "/console", query: asked("lines", strconv.Itoa(lines))})
	return l.Lines, err
}

// Pools implements core.Service.
func (c *Client) Pools(ctx context.Context) ([]core.Pool, error) {
	return read[[]core.Pool](ctx, c, call{path: "/pools"})
}

// Pool implements core.Operator.
func (c *Client) Pool(ctx context.Context, name string) (core.Pool, error) {
	return read[core.Pool](ctx, c, call{path: at("pools", name)})
}

// SetPool implements core.Operator.
func (c *Client) SetPool(ctx context.Context, p core.Pool) error {
	return c.putPool(ctx, p, asked("by", string(p.DeclaredBy)))
}

// AddPool implements core.Operator.
func (c *Client) AddPool(ctx context.Context, p core.Pool) error {
	return c.putPool(ctx, p, asked("new", "true", "by", string(p.DeclaredBy)))
}

func (c *Client) putPool(ctx context.Context, p core.Pool, query url.Values) error {
	_, err := send[api.Nothing](ctx, c, deed{call{method: http.MethodPut, path: at("pools", p.Name), query: query, body: p}, "set pool " + p.Name, ""}, nil)
	return err
}

// RemovePool implements core.Operator.
func (c *Client) RemovePool(ctx context.Context, name string, by core.Declarer, takeOver bool) error {
	return c.remove(ctx, at("pools", name), "remove pool "+name, removal(by, takeOver))
}

// Images implements core.Service.
func (c *Client) Images(ctx context.Context) ([]core.Image, error) {
	return read[[]core.Image](ctx, c, call{path: "/images"})
}

// Image implements core.Operator.
func (c *Client) Image(ctx context.Context, name string) (core.Image, error) {
	return read[core.Image](ctx, c, call{path: at("images", name)})
}

// AddImage implements core.Operator.
func (c *Client) AddImage(ctx context.Context, i core.Image, progress func(done, total core.Bytes)) (core.Image, error) {
	body := api.ImageAdded{Source: i.Source, SHA256: i.SHA256, Format: i.Format, Arch: i.Arch, User: i.User, Boot: i.Boot, By: i.DeclaredBy}
	return send[core.Image](ctx, c, deed{call{method: http.MethodPut, path: at("images", i.Name), body: body}, "add image " + i.Name, ""}, func(p core.Progress) {
		if progress != nil && p.Total > 0 {
			progress(p.Done, p.Total)
		}
	})
}

// RemoveImage implements core.Operator.
func (c *Client) RemoveImage(ctx context.Context, name string, by core.Declarer, takeOver bool) error {
	return c.remove(ctx, at("images", name), "remove image "+name, removal(by, takeOver))
}

func (c *Client) remove(ctx context.Context, path, op string, query url.Values) error {
	_, err := send[api.Nothing](ctx, c, deed{call{method: http.MethodDelete, path: path, query: query}, op, ""}, nil)
	return err
}

// Events implements core.Operator.
func (c *Client) Events(ctx context.Context, f core.EventFilter) ([]core.Event, error) {
	query := asked("node", string(f.Node), "allocation", string(f.Allocation))
	if f.After > 0 {
		query.Set("after", strconv.FormatInt(f.After, 10))
	}
	if f.Limit > 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	if !f.Since.IsZero() {
		query.Set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	return read[[]core.Event](ctx, c, call{path: "/events", query: query})
}

// Stats implements core.Operator.
func (c *Client) Stats(ctx context.Context, f core.StatsFilter) ([]core.PhaseStats, error) {
	query := asked("pool", f.Pool)
	for _, key := range f.By {
		query.Add("by", string(key))
	}
	if !f.Since.IsZero() {
		query.Set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	return read[[]core.PhaseStats](ctx, c, call{path: "/stats", query: query})
}

// Stages implements core.Operator.
func (c *Client) Stages(ctx context.Context) ([]core.Stage, error) {
	return read[[]core.Stage](ctx, c, call{path: "/stages"})
}

// Reconcile implements core.Operator.
func (c *Client) Reconcile(ctx context.Context, o core.ReconcileOptions, report core.Reporter) ([]core.Outcome, error) {
	r, err := send[api.Reconciled](ctx, c, deed{call{method: http.MethodPost, path: "/reconcile", body: api.ReconcileAsked(o)}, "reconcile", ""}, report)
	if err == nil && r.Problem != nil {
		err = r.Problem.Err()
	}
	return r.Outcomes, err
}

// CreateToken implements core.Operator.
func (c *Client) CreateToken(ctx context.Context, o core.TokenOrder) (core.Token, string, error) {
	body := api.TokenOrder{Name: o.Name, Role: o.Role, Pools: o.Pools, Quota: o.Quota, Lifetime: api.Duration(o.Lifetime)}
	made, err := send[api.TokenMade](ctx, c, deed{call{method: http.MethodPost, path: "/tokens", body: body}, "create token " + o.Name, ""}, nil)
	return made.Token, made.Secret, err
}

// Tokens implements core.Operator.
func (c *Client) Tokens(ctx context.Context) ([]core.Token, error) {
	return read[[]core.Token](ctx, c, call{path: "/tokens"})
}

// RevokeToken implements core.Operator.
func (c *Client) RevokeToken(ctx context.Context, id string) (core.Token, error) {
	return send[core.Token](ctx, c, deed{call{method: http.MethodDelete, path: at("tokens", id)}, "revoke token " + id, ""}, nil)
}

// Audit implements core.Operator.
func (c *Client) Audit(ctx context.Context, f core.AuditFilter) ([]core.AuditEntry, error) {
	query := asked("who", f.Who)
	if !f.Since.IsZero() {
		query.Set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	if f.After > 0 {
		query.Set("after", strconv.FormatInt(f.After, 10))
	}
	if f.Limit > 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	return read[[]core.AuditEntry](ctx, c, call{path: "/audit", query: query})
}

// Verify implements core.Operator.
func (c *Client) Verify(ctx context.Context) ([]core.Violation, error) {
	return read[[]core.Violation](ctx, c, call{path: "/invariants"})
}

// Identity tells who the token stands for.
func (c *Client) Identity(ctx context.Context) (api.Caller, error) {
	return read[api.Caller](ctx, c, call{path: "/identity"})
}
