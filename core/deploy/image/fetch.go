package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/metalpool/metalpool/core"
)

// stall is how long a server may send nothing.
const stall = time.Minute

var errStalled = &fault{core.Transient, fmt.Errorf("the server sent nothing for %s", stall), "try again"}

// fetch downloads a file into a folder, and returns it with its SHA-256.
func (l *Library) fetch(ctx context.Context, u *url.URL, dir string, moved func(done, total core.Bytes)) (f *os.File, sum string, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(stall, func() { cancel(errStalled) })
	defer watch.Stop()

	resp, err := l.get(ctx, u)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	f, err = os.Create(filepath.Join(dir, "download"))
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()

	digest := sha256.New()
	buffer := make([]byte, 256<<10)
	for done := core.Bytes(0); ; {
		n, err := resp.Body.Read(buffer)
		watch.Reset(stall)
		digest.Write(buffer[:n])
		if _, err := f.Write(buffer[:n]); err != nil {
			return nil, "", err
		}
		done += core.Bytes(n)
		moved(done, core.Bytes(max(resp.ContentLength, 0)))
		if errors.Is(err, io.EOF) {
			return f, hex.EncodeToString(digest.Sum(nil)), nil
		}
		if err != nil {
			return nil, "", unreachable(ctx, err)
		}
	}
}

func (l *Library) get(ctx context.Context, u *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, invalid("", errors.New("its URL is not one"))
	}
	resp, err := l.clientFor(ctx).Do(req)
	if err != nil {
		return nil, unreachable(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	_ = resp.Body.Close()
	f := &fault{kind: core.Invalid, err: fmt.Errorf("the server answers %s", resp.Status)}
	switch {
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		f.kind = core.NotFound
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		f.kind = core.Denied
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests:
		f.kind, f.hint = core.Transient, "try again"
	}
	return nil, f
}

// unreachable is an error of the connection, without the URL, whose query may be a
// signature.
func unreachable(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if refused, ok := errors.AsType[*fault](err); ok {
		return refused
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return &fault{core.Transient, err, "try again"}
}
