package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// client is a core.Agent over HTTPS, both certificates pinned. It may be used by
// several goroutines.
type client struct {
	http       *http.Client
	address    string
	node       core.NodeID // "" where this process did not offer the boot
	generation uint64
	sources    []string // hosts that we may be reached by; the agent adds the one that calls
	lost       time.Duration
	owed       owed
}

// Dial needs nothing of the process that offered the boot: whoever can open the
// boot's secret goes on with its agent.
func (d *Deployer) Dial(b core.Boot, s core.BootSecret, generation uint64) (core.Agent, error) {
	fail := func(kind core.Kind, why string) (core.Agent, error) {
		return nil, &core.Error{Op: "call the agent", Kind: kind, Err: errors.New(why)}
	}
	if b.Agent == nil {
		return fail(core.Invalid, "it has not checked in")
	}
	if _, _, err := net.SplitHostPort(b.Agent.Address); err != nil {
		return fail(core.Invalid, fmt.Sprintf("its address %q has no port", b.Agent.Address))
	}
	own, err := wire.KeyPair(b.Certificate, s.Key)
	if err != nil {
		return fail(core.Internal, "the boot's certificate and key are unreadable")
	}
	c := &client{address: b.Agent.Address, generation: generation, lost: d.cfg.Lost}
	if o := d.offer(b.ID); o != nil {
		c.node = o.params.Node
		c.sources = append(c.sources, o.params.Agent.Advertise, o.params.Advertise)
	}
	c.sources = slices.DeleteFunc(append(c.sources, d.cfg.Advertise), func(h string) bool { return h == "" })
	c.http = &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:     wire.PinnedClient(own, wire.ServerName(b.ID), wire.Fingerprint(b.Agent.Certificate)),
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout: 20 * time.Second,
			IdleConnTimeout:     time.Minute,
			MaxIdleConnsPerHost: 2,
			DisableCompression:  true,
		},
		// An agent redirects nowhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

func (c *client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

func (c *client) Inventory(ctx context.Context) (core.Inventory, error) {
	var i core.Inventory
	err := c.persist(ctx, call{op: "inventory", method: http.MethodGet, path: wire.InventoryPath, allowed: callTimeout}, &i)
	return i, err
}

// logTimeout bounds the wait for a log: who asks for it is about to report a failure.
const logTimeout = 10 * time.Second

// Log implements core.Agent.
func (c *client) Log(ctx context.Context) (string, error) {
	var l wire.Log
	err := c.once(ctx, call{op: "log", method: http.MethodGet, path: wire.LogPath, allowed: logTimeout}, &l)
	if broken := (*unreachableError)(nil); errors.As(err, &broken) {
		err = c.fail("log", core.Transient, broken.err, "")
	}
	return l.Text, err
}

// callTimeout bounds one request, beside what a long poll asks to wait for.
const callTimeout = 30 * time.Second

// call is one request.
type call struct {
	op      string // for errors
	method  string
	path    string
	query   url.Values
	command string // its ID, if it is about one
	body    []byte
	allowed time.Duration // for one try
	lost    time.Duration // how long to try, where less than the client's
}

// persist repeats a call while the agent is out of reach: a cut connection says
// nothing about the work, which goes on. All calls may be repeated.
func (c *client) persist(ctx context.Context, k call, into any) error {
	lost := c.lost
	if k.lost != 0 {
		lost = min(lost, k.lost)
	}
	began := time.Now()
	debt := c.owed.begin(core.Owed{Agent: c.address, Since: began, Until: began.Add(lost)})
	defer c.owed.end(debt)
	var refused time.Time // since when
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := c.once(ctx, k, into)
		var broken *unreachableError
		if !errors.As(err, &broken) {
			return err
		}
		c.owed.met(debt, inShort(broken.err))
		switch {
		case !errors.Is(err, syscall.ECONNREFUSED):
			refused = time.Time{}
		case refused.IsZero():
			refused = time.Now()
		}
		gone := !refused.IsZero() && time.Since(refused) > refusedFor
		if out := time.Since(began); out > lost || gone {
			return c.fail(k.op, core.Transient, fmt.Errorf("%s has not answered for %s: %w", c.address, out.Round(time.Second), broken.err),
				"look at the server's power and network")
		}
		select {
		case <-ctx.Done():
			return c.fail(k.op, core.Timeout, fmt.Errorf("%s did not answer: %w", c.address, broken.err), "")
		case <-time.After(pause):
		}
	}
}

// refusedFor is how long an agent is called whose host says that nobody listens.
// It does not come back: a new one would have another certificate.
const refusedFor = 10 * time.Second

// unreachableError is a request that may or may not have arrived.
type unreachableError struct{ err error }

func (e *unreachableError) Error() string { return e.err.Error() }
func (e *unreachableError) Unwrap() error { return e.err }

func (c *client) fail(op string, kind core.Kind, err error, hint string) error {
	return &core.Error{Op: "agent: " + op, Node: c.node, Kind: kind, Err: err, Hint: hint}
}

// maxAnswer bounds what is read of an agent's answer, in bytes.
const maxAnswer = 4 << 20

func (c *client) once(ctx context.Context, k call, into any) error {
	limited, cancel := context.WithTimeout(ctx, k.allowed)
	defer cancel()
	target := url.URL{Scheme: "https", Host: c.address, Path: k.path, RawQuery: k.query.Encode()}
	r, err := http.NewRequestWithContext(limited, k.method, target.String(), bytes.NewReader(k.body))
	if err != nil {
		return c.fail(k.op, core.Invalid, err, "")
	}
	r.Header.Set(wire.HeaderGeneration, strconv.FormatUint(c.generation, 10))
	if k.command != "" {
		r.Header.Set(wire.HeaderCommand, k.command)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return c.contact(ctx, k.op, err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return c.contact(ctx, k.op, err)
	}
	if answer.StatusCode == http.StatusOK {
		if err := json.Unmarshal(text, into); err != nil {
			return c.fail(k.op, core.Backend, fmt.Errorf("its answer is unreadable: %w", err), "")
		}
		return nil
	}
	var said wire.Error
	if json.Unmarshal(text, &said) != nil || said.Kind == "" {
		return c.fail(k.op, core.Backend, fmt.Errorf("it answered %s", answer.Status), "")
	}
	return said.Core(c.node)
}

// contact tells a passing loss of contact from a refusal.
func (c *client) contact(ctx context.Context, op string, err error) error {
	var alert *net.OpError
	switch {
	case ctx.Err() != nil:
		if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
			return c.fail(op, core.Timeout, cause, "")
		}
		return c.fail(op, core.Timeout, fmt.Errorf("no answer from %s in the time allowed", c.address), "look at the server's power and network")
	case errors.Is(err, wire.ErrOtherCertificate):
		return c.fail(op, core.Transient, fmt.Errorf("another program than the agent that checked in answers at %s", c.address),
			"its ramdisk has ended; start it again")
	case errors.As(err, &alert) && alert.Op == "remote error": // how crypto/tls hands on an alert
		return c.fail(op, core.Denied, fmt.Errorf("%s refuses our certificate: %w", c.address, err), "its ramdisk was started by another boot")
	}
	return &unreachableError{err}
}
