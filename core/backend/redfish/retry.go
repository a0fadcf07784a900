package redfish

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/stmcginnis/gofish/schemas"
)

// busyIDs are messages of the DMTF's Base registry that mean: not taken, try
// again. What vendors say is in quirks.go.
var busyIDs = []string{"ServiceTemporarilyUnavailable", "ServiceShuttingDown", "ResourceInUse"}

type methodKey struct{}

// onceKey marks the context of a request that the wire must not repeat, even where
// it was not taken: its verb looks first whether it is still needed.
type onceKey struct{}

// carryMethod keeps the method of a request in its context: on a transport error
// that is all that go-retryablehttp hands to its CheckRetry.
type carryMethod struct{ next http.RoundTripper }

func (c carryMethod) RoundTrip(req *http.Request) (*http.Response, error) {
	return c.next.RoundTrip(req.WithContext(context.WithValue(req.Context(), methodKey{}, req.Method)))
}

func methodOf(ctx context.Context) string {
	method, _ := ctx.Value(methodKey{}).(string)
	return method
}

// again decides whether a request may be sent once more. A read may, after
// anything that can pass. A request that changes something may only where it is
// certain that it was not taken: one Reset that became two could turn on what it
// had turned off.
func again(ctx context.Context, resp *http.Response, err error, busy []string) bool {
	method := methodOf(ctx)
	var stopped *fencedError
	var foreign foreignLinkError
	switch {
	case err != nil && (errors.As(err, &stopped) || errors.As(err, &foreign) || untrusted(err)):
		return false
	case err != nil && neverSent(err):
		return !timedOut(err)
	case err != nil:
		return reads(method) && !errors.Is(err, context.Canceled)
	case resp.StatusCode < 400 || resp.StatusCode == http.StatusUnauthorized:
		return false
	case ctx.Value(onceKey{}) != nil:
		return false
	case resp.StatusCode == http.StatusTooManyRequests:
		return true
	case reads(method) && resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented:
		return true
	}
	return saysBusy(answered(resp), busy)
}

// refusal says which request did not succeed, and why.
func refusal(ctx context.Context, resp *http.Response, err error, scrub func(string) string) string {
	if err != nil {
		return methodOf(ctx) + ": " + shorten(scrub(plainly(err)), longest)
	}
	_, what, _ := diagnoseAnswer(answered(resp))
	return methodOf(ctx) + " " + resp.Request.URL.Path + ": " + shorten(scrub(what), longest)
}

// neverSent reports that no connection came about.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// answered reads an error answer without using it up.
func answered(resp *http.Response) *schemas.Error {
	const most = 64 << 10
	head, _ := io.ReadAll(io.LimitReader(resp.Body, most))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	var e *schemas.Error
	errors.As(schemas.ConstructError(resp.StatusCode, head), &e)
	return e
}

// passing reports a refusal that need not last.
func passing(e *schemas.Error, vendor []string) bool {
	return e.HTTPReturnedStatusCode == http.StatusTooManyRequests || saysBusy(e, vendor)
}

// saysBusy looks for a message ID, whatever its registry and version:
// "iLO.2.14.InvalidOperationForSystemState".
func saysBusy(e *schemas.Error, vendor []string) bool {
	return slices.ContainsFunc(messageIDs(e), func(id string) bool {
		return slices.Contains(busyIDs, id) || slices.Contains(vendor, id)
	})
}

// messageIDs are the IDs of an error's messages without registry and version.
func messageIDs(e *schemas.Error) []string {
	ids := []string{e.Code[strings.LastIndexByte(e.Code, '.')+1:]}
	for _, info := range e.ExtendedInfos {
		ids = append(ids, info.MessageID[strings.LastIndexByte(info.MessageID, '.')+1:])
	}
	return ids
}

// boundedBackoff heeds Retry-After, but not for longer than max: who waits longer
// is the caller's decision.
func boundedBackoff(least, most time.Duration, attempt int, resp *http.Response) time.Duration {
	return min(most, retryablehttp.DefaultBackoff(least, most, attempt, resp))
}
