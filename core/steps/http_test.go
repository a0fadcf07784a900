package steps_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/steps"
)

// run makes one try at a step, and tells what it said and why there was nothing to do.
func run(t *testing.T, s core.HTTPStep, begun bool) (said, met string, err error) {
	t.Helper()
	var output strings.Builder
	err = steps.HTTP{}.Run(t.Context(), core.StepRun{
		ID: "d-1/cmdb/1", Step: core.Step{Name: "cmdb", HTTP: &s}.OrDefaults(), Begun: begun, Output: &output,
		Facts:  core.Facts{Node: core.NodeFacts{ID: "n1"}, Machine: core.MachineFacts{Name: `web-"1"`}},
		Met:    func(how string) { met = how },
		Secret: func(context.Context, string) (string, error) { return "s3cret", nil },
	})
	return output.String(), met, err
}

func TestCallThatIsMade(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL.Path, r.Header.Get("Authorization"), body)
	}))
	defer server.Close()
	said, _, err := run(t, core.HTTPStep{HTTPRequest: core.HTTPRequest{
		Method: "POST", URL: server.URL + "/nodes/{{.Node.ID}}", Headers: map[string]string{"Authorization": `Bearer {{secret "TOKEN"}}`}, Body: `{"name": {{json .Machine.Name}}}`,
	}}, false)
	if err != nil || !strings.Contains(said, `POST /nodes/n1 Bearer s3cret {"name": "web-\"1\""}`) {
		t.Errorf("%v; it said %q", err, said)
	}
}

func TestCallsThatFail(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		switch r.URL.Path {
		case "/later":
			if n == 1 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		case "/breaks":
			panic(http.ErrAbortHandler)
		case "/flood":
			_, _ = w.Write(make([]byte, 1<<20))
		case "/host":
			if r.Host != "cmdb.n1.example" {
				w.WriteHeader(http.StatusMisdirectedRequest)
			}
		case "/elsewhere":
			http.Redirect(w, r, "/later", http.StatusFound)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	server.Config.ErrorLog = nil
	defer server.Close()
	request := func(method, path string, expect ...int) core.HTTPStep {
		return core.HTTPStep{HTTPRequest: core.HTTPRequest{Method: method, URL: server.URL + path, Expect: expect}}
	}
	untrusted := httptest.NewUnstartedServer(nil)
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	defer untrusted.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, tt := range map[string]struct {
		step    core.HTTPStep
		begun   bool
		asked   int32
		says    string // "" is well
		unknown bool
	}{
		"not there":                       {step: request("GET", "/no"), asked: 1, says: "GET " + server.URL + "/no: 404 Not Found, expected 200 to 299"},
		"not there, as expected":          {step: request("DELETE", "/no", 200, 404), asked: 1},
		"not as expected":                 {step: request("GET", "/no", 200, 204), asked: 1, says: "404 Not Found, expected 200 or 204"},
		"later":                           {step: request("PUT", "/later"), asked: 2},
		"later, and not to be repeated":   {step: request("POST", "/later"), asked: 1, says: "503"},
		"broken, and not to be repeated":  {step: request("POST", "/breaks"), asked: 1, says: "EOF", unknown: true},
		"nobody there, so never sent":     {step: core.HTTPStep{HTTPRequest: core.HTTPRequest{Method: "POST", URL: gone.URL}}, says: "connection refused"},
		"not trusted, so never sent":      {step: core.HTTPStep{HTTPRequest: core.HTTPRequest{Method: "POST", URL: untrusted.URL}}, says: "certificate signed by unknown authority"},
		"no header, so never sent":        {step: core.HTTPStep{HTTPRequest: core.HTTPRequest{Method: "POST", URL: server.URL, Headers: map[string]string{"X-Node": "a\nb"}}}, says: "invalid header field value"},
		"for another host":                {step: core.HTTPStep{HTTPRequest: core.HTTPRequest{URL: server.URL + "/host", Headers: map[string]string{"Host": "cmdb.{{.Node.ID}}.example"}}}, asked: 1},
		"begun, and not to be repeated":   {step: request("POST", "/no"), begun: true, says: "nobody knows", unknown: true},
		"begun, and harmless":             {step: request("PUT", "/no", 404), begun: true, asked: 1},
		"leading elsewhere":               {step: request("GET", "/elsewhere"), asked: 1, says: "302"},
		"answered at length":              {step: request("GET", "/flood"), asked: 1},
		"begun, and its check is not met": {step: withCheck(request("POST", "/no", 404), request("GET", "/no")), begun: true, asked: 2},
		"met":                             {step: withCheck(request("POST", "/breaks"), request("GET", "/no", 404)), asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			asked.Store(0)
			said, met, err := run(t, tt.step, tt.begun)
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) || errors.Is(err, core.ErrUnknownOutcome) != tt.unknown {
				t.Errorf("got %v", err)
			}
			if asked.Load() != tt.asked || len(said) > 17<<10 || (met != "") != (name == "met") {
				t.Errorf("asked %d times; met %q; it said %d bytes", asked.Load(), met, len(said))
			}
		})
	}
}

// A call that comes to nothing names whom it called, without what is nobody's business.
func TestCallsThatNobodyTakes(t *testing.T) {
	const place = "cmdb.example:8080"
	url := "http://me:pa@" + place + `/nodes/{{.Node.ID}}?key={{secret "TOKEN" | printf "%s/&" | urlquery}}`
	shown := " http://" + place + "/nodes/n1?key=%28secret%29%2F%26: "
	for name, tt := range map[string]struct {
		method  string
		timeout time.Duration
		says    string
	}{
		"for as long as it is tried":       {"PUT", time.Minute, "PUT" + shown + "connection refused"},
		"until the step's time is over":    {"PUT", 2 * time.Second, "PUT" + shown + "connection refused"},
		"once, as it must not be repeated": {"POST", time.Minute, "POST" + shown + "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
				defer cancel()
				refuses := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
				}}
				err := steps.HTTP{Client: &http.Client{Transport: refuses}}.Run(ctx, core.StepRun{
					Step: core.Step{Name: "cmdb", HTTP: &core.HTTPStep{HTTPRequest: core.HTTPRequest{Method: tt.method, URL: url}}}.OrDefaults(), Output: io.Discard,
					Facts: core.Facts{Node: core.NodeFacts{ID: "n1"}}, Secret: func(context.Context, string) (string, error) { return "s3cret", nil },
				})
				if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "s3cret") || errors.Is(err, core.ErrUnknownOutcome) {
					t.Errorf("got %v, and it is to say %q", err, tt.says)
				}
			})
		})
	}
}

// skips takes note of what is left out.
type skips struct {
	strings.Builder
	bytes int64
}

func (s *skips) Skip(bytes int64) { s.bytes += bytes }

// Whoever keeps an answer is told that it is cut: half a secret may be at its end.
func TestAnswerThatIsCut(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 20<<10)) }))
	defer server.Close()
	var output skips
	step := core.Step{Name: "cmdb", HTTP: &core.HTTPStep{HTTPRequest: core.HTTPRequest{URL: server.URL}}}
	if err := (steps.HTTP{}).Run(t.Context(), core.StepRun{Step: step.OrDefaults(), Output: &output}); err != nil || output.bytes != 4<<10 {
		t.Errorf("%v; %d bytes are said to be left out", err, output.bytes)
	}
}

func withCheck(s, check core.HTTPStep) core.HTTPStep {
	s.Check = &check.HTTPRequest
	return s
}
