package client

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// FuzzAnswers has anything answer in a server's place: the client fails, says why, and
// makes nothing of it that was not said.
func FuzzAnswers(f *testing.F) {
	var status int
	var kind, body string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	f.Cleanup(server.Close)
	c, err := New(Config{URL: server.URL, Token: "t", Fingerprint: Fingerprint(server.Certificate()), Patience: time.Nanosecond})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(200, "application/json", `{"done":true,"result":{"id":"m-1","state":"Deployed"}}`)
	f.Add(202, "application/json", `{"done":false,"progress":"/v1/requests/r-1/progress"}`)
	f.Add(404, api.ProblemType, `{"kind":"not found","op":"find","detail":"x","cause":{"kind":"busy","op":"y"}}`)
	f.Add(503, api.ProblemType, `{"kind":"transient","detail":"x"}`)
	f.Add(200, "text/event-stream", "id: 7\nevent: end\ndata: {\"result\":{}}\n\n")
	f.Add(200, "text/html", "<html>")
	f.Add(302, "", "")
	f.Fuzz(func(t *testing.T, code int, contentType, text string) {
		if code < 200 || code > 599 || strings.ContainsAny(contentType, "\r\n") {
			t.Skip()
		}
		status, kind, body = code, contentType, text
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		m, err := c.Create(ctx, core.Order{ID: "m-1", Name: "web-1"}, nil)
		if err == nil && code/100 != 2 || err != nil && err.Error() == "" {
			t.Errorf("%d %s %q: %+v, %v", code, contentType, text, m, err)
		}
		if _, err := c.Machines(ctx, core.AllocationFilter{}); err == nil && code/100 != 2 {
			t.Errorf("%d %s %q makes a list", code, contentType, text)
		}
	})
}

// FuzzEvents reads anything as a stream of events, to its end.
func FuzzEvents(f *testing.F) {
	f.Add("id: 1\nevent: progress\ndata: {}\n\n: comment\n\nevent: end\r\ndata: a\r\ndata: b\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		from := bufio.NewReader(strings.NewReader(text))
		for size := 0; ; {
			e, err := readEvent(from)
			if size += len(e.data); size > len(text) {
				t.Fatalf("%q has more data than text", text)
			}
			if err != nil {
				return
			}
		}
	})
}
