package redfish_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// TestJobs: a request that a BMC makes a job of is done when its job is, and fails
// with the job's reason.
func TestJobs(t *testing.T) {
	const running = `{"TaskState":"Running"}`
	for _, c := range []struct {
		name  string
		looks []string // what the job answers, one after the other
		does  bool     // whether the change is made
		kind  core.Kind
		says  []string
	}{
		{"works", []string{running, running, `{"TaskState":"Completed"}`}, true, "", nil},
		{"is gone when done", nil, true, "", nil},
		{"is the answer itself when done", []string{running, ` `}, true, "", nil},
		{"waits for the next start", []string{running}, true, "", nil},
		{"fails", []string{running, `{"TaskState":"Exception","Messages":[{"MessageId":"IDRAC.2.8.RAC720","Message":"Unable to locate the ISO."}]}`},
			false, core.Backend, []string{"ended as Exception", "Unable to locate the ISO. (IDRAC.2.8.RAC720)"}},
		{"fails at what is so already", []string{`{"TaskState":"Cancelled"}`}, true, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			var look atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				switch {
				case strings.HasPrefix(req.URL.Path, "/jobs/"):
					i := min(int(look.Add(1)), len(c.looks)) - 1
					if i < 0 {
						http.NotFound(w, req)
						return
					}
					fmt.Fprint(w, c.looks[i])
				case req.Method == http.MethodPost:
					if c.does {
						r.bmc.ServeHTTP(httptest.NewRecorder(), req)
					}
					w.Header().Set("Location", "/jobs/1")
					w.WriteHeader(http.StatusAccepted)
				default:
					r.bmc.ServeHTTP(w, req)
				}
			}))
			defer s.Close()
			r.endpoint.URL, r.endpoint.TLS = s.URL, core.TLSCheck{Insecure: true}
			b := r.enrolled()
			err := b.InsertMedia(t.Context(), r.images[0])
			if c.kind != "" {
				wantKind(t, err, c.kind, c.says...)
			} else {
				must(t, "insert", err)
			}
			if look.Load() < int32(len(c.looks)) {
				t.Errorf("the job was looked at %d times, want %d", look.Load(), len(c.looks))
			}
		})
	}
}

// TestHeaders: bodies come as they are, each request proves who sends it, and no
// action carries an ETag.
func TestHeaders(t *testing.T) {
	r := newRig(t, nil)
	var bad atomic.Value
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		u, p, _ := req.BasicAuth()
		if u != user || p != password || req.Header.Get("Accept-Encoding") != "identity" || req.Close ||
			req.Method == http.MethodPost && req.Header.Get("If-Match") != "" {
			bad.Store(fmt.Sprintf("%s %s %v", req.Method, req.URL, req.Header))
		}
		r.bmc.ServeHTTP(w, req)
	}))
	defer s.Close()
	r.endpoint.URL, r.endpoint.TLS = s.URL, core.TLSCheck{Insecure: true}
	must(t, "deploy", deploys(t, r))
	if what := bad.Load(); what != nil {
		t.Errorf("a request was %v", what)
	}
}
