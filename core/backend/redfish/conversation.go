package redfish

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/schemas"

	"github.com/metalpool/metalpool/core"
)

// conversation is one job's talk with a BMC. Its verbs go one after the other.
type conversation struct {
	options Options
	at      address
	scrub   func(string) string // takes the password out of what the BMC says
	wire    *wire
	shelf   *shelf // where the wire goes in the end
	key     string // of its place there
	trust   *tls.Config
	api     *gofish.APIClient
	leave   func()

	mu      sync.Mutex // held for a whole verb
	closed  bool
	links   map[string]string
	manners manners
	// registries are those of attributes that were read, by name.
	registries map[string]registry
}

var _ core.BMC = (*conversation)(nil)

func (b *conversation) Links() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.links)
}

// Close lets go of the wire itself: the idle connections of a client stacked on others
// are out of its reach.
func (b *conversation) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		b.shelf.put(b.key, b.wire, b.options.Keep)
		b.leave()
	}
	return nil
}

// verb runs one verb where the links lead, and once more after another walk where
// a link turned out to be gone (firmware updates rename resources). Every verb
// converges, so the second run does what the first left undone.
func (b *conversation) verb(ctx context.Context, op string, do func(talk) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return &core.Error{Op: op, Kind: core.Internal, Err: fmt.Errorf("the conversation with BMC %s was closed before", b.at.base)}
	}
	t := talk{conversation: b, ctx: ctx, client: b.api.WithContext(ctx)}
	var err error
	walked := !b.knows()
	if walked {
		err = t.walk()
	}
	if err == nil {
		err = do(t)
	}
	if !walked && statusOf(err) == http.StatusNotFound {
		if err = t.walk(); err == nil {
			err = do(t)
		}
	}
	return explain(ctx, op, b.at, b.scrub, err)
}

// talk is a conversation during one verb. Its requests end with the verb's context.
type talk struct {
	*conversation
	ctx    context.Context
	client *gofish.APIClient
}

// get reads a resource into what v points to, and returns its ETag.
func (t talk) get(path string, v any) (etag string, err error) {
	header, err := t.fetch(path, v)
	return header.Get("ETag"), err
}

// fetch is get for all that the answer's header tells.
func (t talk) fetch(path string, v any) (http.Header, error) {
	path, err := t.at.local(path)
	if err != nil {
		return nil, err
	}
	resp, err := t.client.Get(path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil {
		text, err = unpacked(text)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return nil, &notRedfishError{path: path, kind: resp.Header.Get("Content-Type"), server: resp.Header.Get("Server"), text: t.scrub(string(text)), err: err}
	}
	return resp.Header, nil
}

// post runs an action. A nil body sends none.
func (t talk) post(path string, body any) error {
	return t.send(path, func(path string) (*http.Response, error) { return t.client.Post(path, body) })
}

// patch changes a resource. Without an etag it goes without If-Match, unless the
// BMC then asks for one.
func (t talk) patch(path, etag string, body any) error {
	job, err := t.patchForLater(path, etag, body)
	return t.follow(job, err)
}

// patchForLater is patch for a change that waits for the next start, as does the job
// that the BMC may have made of it.
func (t talk) patchForLater(path, etag string, body any) (job string, err error) {
	send := func(etag string) (string, error) {
		return t.deliver(path, func(path string) (*http.Response, error) {
			if etag == "" {
				return t.client.Patch(path, body)
			}
			return t.client.PatchWithHeaders(path, body, map[string]string{"If-Match": etag})
		})
	}
	job, err = send(etag)
	if etag != "" || statusOf(err) != http.StatusPreconditionRequired {
		return job, err
	}
	var whole json.RawMessage
	etag, err = t.get(path, &whole)
	if err != nil {
		return "", err
	}
	return send(etag)
}

func (t talk) send(path string, request func(path string) (*http.Response, error)) error {
	return t.follow(t.deliver(path, request))
}

// follow waits for the job of a request, where there is one.
func (t talk) follow(job string, err error) error {
	if err != nil || job == "" {
		return err
	}
	return t.finish(job)
}

// deliver sends a request, and returns the job that the BMC made of it; "" is that it
// made none.
func (t talk) deliver(path string, request func(path string) (*http.Response, error)) (job string, err error) {
	path, err = t.at.local(path)
	if err != nil {
		return "", err
	}
	resp, err := request(path)
	if err != nil {
		return "", err
	}
	// What it says of a success is not needed: the state is read back. Read to its
	// end, it gives the connection free.
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode == http.StatusAccepted {
		job = resp.Header.Get("Location")
	}
	return job, err
}

// unpacked undoes gzip that a BMC sends though it was asked for none, as HPE's do with
// attribute registries. What is no gzip is returned as it is.
func unpacked(body []byte) ([]byte, error) {
	if !bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
		return body, nil
	}
	packed, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return body, nil //nolint:nilerr // then it is something else
	}
	text, err := io.ReadAll(io.LimitReader(packed, maxBody+1))
	if err == nil && len(text) > maxBody {
		err = errTooLong
	}
	return text, err
}

// wait is a pause that the end of the verb's context cuts short.
func (t talk) wait(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-t.ctx.Done():
		return context.Cause(t.ctx)
	}
}

// statusOf is the HTTP status of a BMC's refusal, or 0.
func statusOf(err error) int {
	var answer *schemas.Error
	if errors.As(err, &answer) {
		return answer.HTTPReturnedStatusCode
	}
	return 0
}
