package enginetest

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Web is how this host asks something of other systems: all of them are one, which says
// yes, and remembers.
func (h *Host) Web() http.RoundTripper { return web{h} }

type web struct{ host *Host }

func (w web) RoundTrip(r *http.Request) (answer *http.Response, err error) {
	err = w.host.freezer.call("http", time.Time{}, func() error {
		w.host.rack.mu.Lock()
		defer w.host.rack.mu.Unlock()
		w.host.rack.called = append(slices.Clone(w.host.rack.called), r.Method+" "+r.URL.Path)
		answer = &http.Response{
			Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{}, Body: io.NopCloser(strings.NewReader("noted\n")), Request: r,
		}
		return nil
	})
	return answer, err
}

// Called are the requests that came to other systems, each as "PUT /path".
func (r *Rack) Called() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.called)
}
