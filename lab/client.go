package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/metalpool/metalpool/core"
)

// Client talks to a running lab.
type Client struct{ door doorway }

// Connect finds the lab that runs in dir. It makes no call yet.
func Connect(dir string) (*Client, error) {
	text, err := os.ReadFile(filepath.Join(dir, controlName))
	var c Client
	if err == nil {
		err = json.Unmarshal(text, &c.door)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, &core.Error{Op: "find the lab", Kind: core.NotFound, Err: fmt.Errorf("no lab runs in %s", dir), Hint: "start one with 'metalpool lab up', or name the folder of one that runs: --dir, or METALPOOL_LAB"}
	}
	if err != nil {
		return nil, &core.Error{Op: "find the lab", Kind: core.Invalid, Err: fmt.Errorf("%s cannot be read", filepath.Join(dir, controlName))}
	}
	return &c, nil
}

// Status is what the nodes are doing, in order.
func (c *Client) Status(ctx context.Context) (list []Status, err error) {
	return list, c.call(ctx, http.MethodGet, "/v1/nodes", nil, &list)
}

// Unplug pulls a node's power cord; Plug puts it back.
func (c *Client) Unplug(ctx context.Context, id core.NodeID) error {
	return c.call(ctx, http.MethodPost, "/v1/nodes/"+string(id)+"/unplug", nil, nil)
}

// Plug puts a node's power cord back; the node stays off.
func (c *Client) Plug(ctx context.Context, id core.NodeID) error {
	return c.call(ctx, http.MethodPost, "/v1/nodes/"+string(id)+"/plug", nil, nil)
}

// UnplugNetwork pulls the network cable of a node that is a virtual machine.
func (c *Client) UnplugNetwork(ctx context.Context, id core.NodeID) error {
	return c.call(ctx, http.MethodPost, "/v1/nodes/"+string(id)+"/network/unplug", nil, nil)
}

// PlugNetwork puts it back.
func (c *Client) PlugNetwork(ctx context.Context, id core.NodeID) error {
	return c.call(ctx, http.MethodPost, "/v1/nodes/"+string(id)+"/network/plug", nil, nil)
}

// AddFault plants a fault.
func (c *Client) AddFault(ctx context.Context, id core.NodeID, f NewFault) error {
	return c.call(ctx, http.MethodPost, "/v1/nodes/"+string(id)+"/faults", f, nil)
}

// ClearFaults removes all faults of a node.
func (c *Client) ClearFaults(ctx context.Context, id core.NodeID) error {
	return c.call(ctx, http.MethodDelete, "/v1/nodes/"+string(id)+"/faults", nil, nil)
}

// Plan plants faults that follow from a seed, and tells which.
func (c *Client) Plan(ctx context.Context, o PlanOrder) (planned []Planned, err error) {
	return planned, c.call(ctx, http.MethodPost, "/v1/plan", o, &planned)
}

// ResetTraffic starts to count the BMCs' requests anew.
func (c *Client) ResetTraffic(ctx context.Context) error {
	return c.call(ctx, http.MethodDelete, "/v1/traffic", nil, nil)
}

func (c *Client) call(ctx context.Context, method, path string, body, result any) error {
	fail := func(kind core.Kind, err error) error {
		return &core.Error{Op: "ask the lab", Kind: kind, Err: err}
	}
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return fail(core.Internal, err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, c.door.URL+path, bytes.NewReader(text))
	if err != nil {
		return fail(core.Invalid, err)
	}
	r.Header.Set("Authorization", "Bearer "+c.door.Token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return &core.Error{Op: "ask the lab", Kind: core.Transient, Err: err, Hint: "start it again, should it have been killed"}
	}
	defer func() { _ = response.Body.Close() }()
	const most = 64 << 20
	text, err = io.ReadAll(io.LimitReader(response.Body, most))
	if err != nil {
		return fail(core.Transient, err)
	}
	if response.StatusCode != http.StatusOK {
		var said refusal
		if json.Unmarshal(text, &said) != nil || said.Error == "" {
			said.Error = response.Status
		}
		kind := core.Internal
		switch response.StatusCode {
		case http.StatusBadRequest:
			kind = core.Invalid
		case http.StatusNotFound:
			kind = core.NotFound
		case http.StatusUnauthorized:
			kind = core.Denied
		}
		return fail(kind, errors.New(said.Error))
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(text, result); err != nil {
		return fail(core.Internal, err)
	}
	return nil
}
