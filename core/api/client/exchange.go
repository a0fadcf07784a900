package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// mostAnswer is more than any answer has: a list of all nodes of a large pool.
const mostAnswer = 512 << 20

// mostRefusal is more than any refusal has, which may tell of each node of a pool.
const mostRefusal = 4 << 20

// call is one request.
type call struct {
	method  string
	path    string
	query   url.Values
	body    any    // JSON; nil: none
	request string // ID of a write
	last    int64  // event that was seen
}

// awayError is a server that did not serve: it may be asked again.
type awayError struct {
	err   error
	after time.Duration // not before
}

func (a *awayError) Error() string { return a.err.Error() }
func (a *awayError) Unwrap() error { return a.err }

// exchange sends a request. The caller closes the answer's body. An error is an
// awayError, final, or the server's own.
func (c *Client) exchange(ctx context.Context, r call) (*http.Response, error) {
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	target := c.base + api.Prefix + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set(api.HeaderLevel, strconv.Itoa(api.Level))
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.request != "" {
		req.Header.Set(api.HeaderRequest, r.request)
	}
	if r.last > 0 {
		req.Header.Set(api.HeaderLastEvent, strconv.FormatInt(r.last, 10))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreached(err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, c.refused(resp)
}

// unreached tells a server that is away from one that is not ours.
func (c *Client) unreached(err error) error {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err // its address is told by us
	}
	e := &core.Error{Op: "reach " + c.base, Kind: core.Transient, Err: err, Hint: "is 'metalpool serve' running there?"}
	if certificate, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		e.Kind, e.Err, e.Hint = core.Denied, certificate.Err, "if the server made its own CA, pin it: metalpool login "+c.base
		return e
	}
	if pin, ok := errors.AsType[*pinError](err); ok {
		e.Kind, e.Err, e.Hint = core.Denied, pin, "somebody is in between, or the server has a new CA: ask its operator for the fingerprint, and run 'metalpool login "+c.base+"'"
		return e
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		e.Kind, e.Hint = core.Invalid, "check the name in METALPOOL_URL"
		return e
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		e.Kind, e.Hint = core.Invalid, "what listens there does not speak TLS; check the port"
		return e
	}
	return &awayError{err: e}
}

// refused makes the server's error again.
func (c *Client) refused(resp *http.Response) error {
	after := time.Duration(0)
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		after = time.Duration(min(seconds, 60)) * time.Second
	}
	again := resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests && after > 0
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostRefusal))
	if err != nil {
		return c.unreached(err)
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == api.ProblemType {
		var p api.Problem
		if json.Unmarshal(text, &p) == nil && p.Kind != "" {
			if again {
				return &awayError{p.Err(), after}
			}
			return p.Err()
		}
	}
	// A gateway in between says so where the server is away.
	e := &core.Error{Op: "reach " + c.base, Kind: core.Transient, Err: fmt.Errorf("it answers %s", resp.Status), Hint: "is 'metalpool serve' running there?"}
	if again || resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusGatewayTimeout {
		return &awayError{e, after}
	}
	e.Kind, e.Hint = core.Invalid, "what answers there is no 'metalpool serve'; check METALPOOL_URL"
	return e
}

// patience is how long a server is waited for that does not serve.
type patience struct {
	limit time.Duration
	since time.Time // of the first failure in a row; zero: it serves
	pause time.Duration
}

const (
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
)

// served forgets failures.
func (p *patience) served() { p.since, p.pause = time.Time{}, 0 }

// wait pauses before the next try; false where there is none.
func (p *patience) wait(ctx context.Context, after time.Duration) bool {
	now := time.Now()
	if p.since.IsZero() {
		p.since, p.pause = now, firstPause
	}
	left := p.limit - now.Sub(p.since)
	if left <= 0 {
		return false
	}
	t := time.NewTimer(min(max(p.pause, after), left))
	defer t.Stop()
	p.pause = min(2*p.pause, longestPause)
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// away finds out whether a server may be asked again, and when.
func away(err error) (*awayError, bool) { return errors.AsType[*awayError](err) }

// final is the error without what was only for us.
func final(err error) error {
	if a, ok := err.(*awayError); ok { //nolint:errorlint // ours alone
		return a.err
	}
	return err
}

// read asks for something that changes nothing.
func read[T any](ctx context.Context, c *Client, r call) (T, error) {
	var (
		answer T
		p      = patience{limit: c.patience / 10}
	)
	if r.method == "" {
		r.method = http.MethodGet
	}
	for {
		err := c.decode(ctx, r, &answer)
		if err == nil {
			return answer, nil
		}
		if ctx.Err() != nil {
			return answer, &core.Error{Op: "ask " + c.base, Kind: core.Timeout, Err: context.Cause(ctx), Hint: "the server does not answer in time; ask again"}
		}
		a, again := away(err)
		if !again || !p.wait(ctx, a.after) {
			return answer, final(err)
		}
	}
}

// decode sends one request and reads its answer.
func (c *Client) decode(ctx context.Context, r call, answer any) error {
	resp, err := c.exchange(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return c.unreached(err)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return &core.Error{Op: "read the answer of " + c.base, Kind: core.Internal, Err: err, Hint: "client and server may be of different versions; see 'metalpool version'"}
	}
	return nil
}

// at makes a path of names that may hold anything.
func at(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString("/" + url.PathEscape(part))
	}
	return b.String()
}

// asked leaves out what is not asked for.
func asked(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}
