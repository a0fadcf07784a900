package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/metalpool/metalpool/core"
)

// HTTP asks something of another system: an inventory, a name server, a monitoring
// server. Its own retries are for requests that are harmless to repeat; others are tried
// again only where it is known that they have never been sent, or were refused.
type HTTP struct {
	Client *http.Client // nil: a plain one
}

// Run implements core.StepRunner.
func (h HTTP) Run(ctx context.Context, r core.StepRun) error {
	step := r.Step.HTTP
	if step.Check != nil {
		_, status, err := h.ask(ctx, r, *step.Check, true)
		if err != nil {
			return err
		}
		if expected(*step.Check, status) {
			r.Met(fmt.Sprintf("its check is answered with %d", status))
			return nil
		}
	}
	harmless := r.Step.Repeatable || step.Check != nil || idempotent(step.Method)
	if r.Begun && !harmless {
		return core.ErrUnknownOutcome
	}
	asked, status, err := h.ask(ctx, r, step.HTTPRequest, harmless)
	if err == nil && !expected(step.HTTPRequest, status) {
		err = failed(core.Backend, "%s: %s, expected %s", asked, answered(status), expectation(step.HTTPRequest))
	}
	return err
}

// skipper is a writer that takes note of what is left out. What it is not told of would
// look whole to it, the first half of a secret too.
type skipper interface{ Skip(bytes int64) }

// idempotent reports whether HTTP itself says that a request may be repeated.
func idempotent(method string) bool {
	return slices.Contains([]string{"", http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions}, method)
}

func expected(r core.HTTPRequest, status int) bool {
	if len(r.Expect) > 0 {
		return slices.Contains(r.Expect, status)
	}
	return status >= 200 && status < 300
}

// expectation is what expected takes, in words.
func expectation(r core.HTTPRequest) string {
	if len(r.Expect) == 0 {
		return "200 to 299"
	}
	var all []string
	for _, status := range r.Expect {
		all = append(all, strconv.Itoa(status))
	}
	return strings.Join(all, " or ")
}

func answered(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}

// Bounds of one request. Who answers late is asked again within the time of the try.
const (
	keptAnswer = 16 << 10 // bytes
	readAnswer = 1 << 20  // of one that is longer
	tries      = 4        // of a request that may be repeated
	firstPause = time.Second
	lastPause  = 10 * time.Second
)

// ask makes a request and says what was asked, fit to be shown, and what the answer is.
// One that is not harmless is made once: where nobody knows whether it arrived, that is
// ErrUnknownOutcome.
func (h HTTP) ask(ctx context.Context, r core.StepRun, request core.HTTPRequest, harmless bool) (asked string, status int, err error) {
	var connected atomic.Bool // else nothing of it was sent, secrets neither
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := expand(ctx, r, request)
	if err != nil {
		return "", 0, err
	}
	asked = req.Method + " " + shown(r, request.URL)
	c := retryablehttp.NewClient()
	c.Logger, c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = nil, tries-1, firstPause, lastPause
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	if !harmless {
		c.RetryMax = 0
	}
	var last string // what came of the last try that ended by itself
	c.CheckRetry = func(ctx context.Context, answer *http.Response, err error) (bool, error) {
		switch {
		case ctx.Err() != nil:
		case err != nil:
			last = plain(err)
		default:
			last = answered(answer.StatusCode)
		}
		return retryablehttp.DefaultRetryPolicy(ctx, answer, err)
	}
	client := http.Client{Transport: c.HTTPClient.Transport}
	if h.Client != nil {
		client = *h.Client
	}
	// Where it leads elsewhere it would take its secrets along.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.HTTPClient = &client
	defer client.CloseIdleConnections()
	answer, err := c.Do(req)
	if err != nil {
		why := plain(err)
		if ctx.Err() != nil { // which says nothing of the other side
			why = cmp.Or(last, "no answer")
		}
		if !harmless && connected.Load() {
			return asked, 0, fmt.Errorf("%s: %s: %w", asked, why, core.ErrUnknownOutcome)
		}
		return asked, 0, failed(core.Backend, "%s: %s", asked, why)
	}
	defer func() { _ = answer.Body.Close() }() // what counts of it was read
	fmt.Fprintf(r.Output, "%s: %s\n", asked, answer.Status)
	_, _ = io.Copy(r.Output, io.LimitReader(answer.Body, keptAnswer)) // an answer that breaks off is one
	more, _ := io.Copy(io.Discard, io.LimitReader(answer.Body, readAnswer-keptAnswer))
	if s, ok := r.Output.(skipper); ok && more > 0 {
		s.Skip(more)
	}
	return asked, answer.StatusCode, nil
}

// shown is a URL's template with everything filled in but the secrets, and without a user:
// a secret that the template writes in another way, as for a query, nobody would find in
// the URL itself to hide it.
func shown(r core.StepRun, template string) string {
	text, err := r.Expand(template, func(string) (string, error) { return "(secret)", nil })
	if err != nil { // it takes the secret apart
		text = template
	}
	scheme, rest, _ := strings.Cut(text, "://")
	place, path := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		place, path = rest[:end], rest[end:]
	}
	return scheme + "://" + place[strings.LastIndex(place, "@")+1:] + path
}

// plain is why a request failed, without its address, whose query may hold a secret.
func plain(err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}

func failed(kind core.Kind, format string, args ...any) error {
	return &core.Error{Op: "call", Kind: kind, Err: fmt.Errorf(format, args...)}
}

// expand fills facts and secrets into a request.
func expand(ctx context.Context, r core.StepRun, request core.HTTPRequest) (*retryablehttp.Request, error) {
	fill := func(what, text string) (string, error) {
		value, err := r.Expand(text, func(name string) (string, error) { return r.Secret(ctx, name) })
		if err != nil {
			return "", failed(core.Invalid, "%s: %w", what, err)
		}
		return value, nil
	}
	url, err := fill("url", request.URL)
	if err != nil {
		return nil, err
	}
	body, err := fill("body", request.Body)
	if err != nil {
		return nil, err
	}
	method := request.Method
	if method == "" {
		method = http.MethodGet
	}
	var send any
	if body != "" {
		send = strings.NewReader(body)
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, method, url, send)
	if err != nil {
		return nil, failed(core.Invalid, "the URL that its template makes is none")
	}
	for name, text := range request.Headers {
		value, err := fill("header "+name, text)
		if err != nil {
			return nil, err
		}
		req.Header.Set(name, value)
		if http.CanonicalHeaderKey(name) == "Host" {
			req.Host = value // among the others the client leaves it out
		}
	}
	return req, nil
}
