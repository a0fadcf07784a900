package redfish

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core"
)

// maxBody is more than any Redfish resource; a BMC that sends more is broken.
const maxBody = 8 << 20

// dialTimeout is short: TCP itself repeats a lost packet within it.
const dialTimeout = 10 * time.Second

// newWire is for one conversation at a time: one connection, since requests go one
// after the other. Proxies of the environment are for the web, not for BMCs.
func newWire(config *tls.Config, request time.Duration, l *latest) *wire {
	dialer := &net.Dialer{Timeout: min(dialTimeout, request)}
	return &wire{latest: l, Transport: &http.Transport{
		TLSClientConfig: config,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return guarded{conn, l}, nil
		},
		TLSHandshakeTimeout: min(dialTimeout, request),
		// Some BMCs send gzip that they cannot make; see gate.
		DisableCompression: true,
		// Not Close's business alone: a process may be stopped between two verbs.
		IdleConnTimeout: 10 * time.Second,
	}}
}

// gate is the last thing that a request passes, also a repeated or redirected one.
type gate struct {
	next   http.RoundTripper
	at     address
	fence  core.Fence
	latest *latest // shared with the connections of next
}

func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.EqualFold(req.URL.Host, g.at.host) || req.URL.User != nil {
		closeBody(req)
		return nil, foreignLinkError(req.URL.Redacted())
	}
	ctx, cancel := req.Context(), context.CancelFunc(func() {})
	if !reads(req.Method) && g.fence != nil {
		until, err := g.fence(ctx)
		if err == nil && !until.IsZero() {
			if !time.Now().Before(until) {
				err = errNoTime
			}
			ctx, cancel = context.WithDeadline(ctx, until)
			g.latest.set(until)
			defer g.latest.set(time.Time{})
		}
		if err != nil {
			cancel()
			closeBody(req)
			return nil, &fencedError{err}
		}
	}
	req = req.Clone(ctx)
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := g.next.RoundTrip(req)
	if err != nil {
		cancel()
		if errors.Is(err, errTooLate) {
			err = &fencedError{&core.Error{Op: "ask the lease", Kind: core.Transient, Err: err, Hint: "try again; who has the lease now goes on"}}
		}
		return nil, err
	}
	resp.Body = &boundedBody{body: resp.Body, left: maxBody, done: cancel}
	return resp, nil
}

// fencedError is a request that the fence did not let out.
type fencedError struct{ err error }

func (f *fencedError) Error() string { return "nothing was sent: " + f.err.Error() }
func (f *fencedError) Unwrap() error { return f.err }

// errNoTime is Transient: who renews the lease may try again.
var errNoTime = &core.Error{Op: "ask the lease", Kind: core.Transient, Err: errors.New("it leaves no time for a call"), Hint: "try again once it is renewed"}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

func reads(method string) bool { return method == http.MethodGet || method == http.MethodHead }

var errTooLong = errors.New("its answer does not end")

// boundedBody fails where a body is longer than allowed, and ends the request's
// context with the body. It passes the end of the body on, which is what gives
// the connection back.
type boundedBody struct {
	body io.ReadCloser
	left int64
	done context.CancelFunc
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, errTooLong
	}
	return n, err
}

func (b *boundedBody) Close() error {
	defer b.done()
	return b.body.Close()
}

// followReads follows a redirect of a read, within the BMC as gate sees to it. A
// redirected action would be an action at a place that nobody chose.
func followReads(req *http.Request, via []*http.Request) error {
	if len(via) > 3 || !reads(via[0].Method) {
		return http.ErrUseLastResponse
	}
	return nil
}

// emptyRoot answers every request with an empty service root.
type emptyRoot struct{}

func (emptyRoot) RoundTrip(req *http.Request) (*http.Response, error) {
	const root = `{"@odata.id":"/redfish/v1/"}`
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
		Body: io.NopCloser(strings.NewReader(root)), ContentLength: int64(len(root)),
	}, nil
}

// statusText is "503 Service Unavailable".
func statusText(code int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code)))
}
