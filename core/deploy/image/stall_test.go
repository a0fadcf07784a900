package image

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/metalpool/metalpool/core"
)

// silent sends a little, and then nothing for as long as it is asked.
type silent struct {
	ctx  context.Context
	sent bool
}

func (s *silent) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(&silent{ctx: r.Context()})}, nil
}

func (s *silent) Read(p []byte) (int, error) {
	if !s.sent {
		s.sent = true
		return copy(p, "hello"), nil
	}
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func TestFetchGivesUpOnASilentServer(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := NewLibrary(dir)
		l.client = &http.Client{Transport: &silent{}}
		_, err := l.Examine(t.Context(), core.Image{Source: "https://example.org/x"}, nil)
		if !core.Is(err, core.Transient) || !strings.Contains(err.Error(), "sent nothing for 1m0s") {
			t.Errorf("error %v", err)
		}
	})
}
