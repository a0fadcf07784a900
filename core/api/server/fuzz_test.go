package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
	"github.com/metalpool/metalpool/core/api/server"
)

// FuzzRequests sends anything to the API of a pool without nodes. It is answered, and
// never as if the server were to blame.
func FuzzRequests(f *testing.F) {
	r := newRig(f, 0)
	ops := r.operator()
	e, _ := r.engine()
	s := server.New(server.Config{Pool: e})
	for _, seed := range []struct{ method, path, body string }{
		{"PUT", "/machines/m-1", `{"name":"web-1","keys":["` + key + `"],"request":{"pool":"default","cpus":4,"memory":1024,"labels":[{"label":"rack","op":"=","values":["r1"]}],"disks":[{"count":2,"size":480000000000,"kind":"ssd"}],"place":{"key":"rack","mode":"spread"}},"wait_for":"ssh","user_data":"I2Nsb3VkLWNvbmZpZwo=","labels":{"a":"b"},"acquire_timeout":"5m","allocate_only":true}`},
		{"PUT", "/machines/m-1/deployment", `{"image":"debian","afresh":true,"deploy_timeout":"2h"}`},
		{"PATCH", "/machines/m-1", `{"name":"x","labels":{"a":"b"},"remove_labels":["c"],"keys":[],"request":{}}`},
		{"DELETE", "/machines/m-1?reason=x&wait_clean=true", ""},
		{"PUT", "/machines/m-1/power", `{"verb":"on"}`},
		{"POST", "/orders/check", `{"id":"m-1","order":{"name":"a"}}`},
		{"POST", "/orders/match", `{"order":{"request":{"gpus":1,"gpu_model":"A100","nics":[{"count":1,"mbps":25000}]}}}`},
		{"POST", "/nodes", `{"url":"https://n1.bmc","password":"x","network":{"ports":["02:00:00:00:00:01"],"address":"10.0.0.7/24","gateway":"10.0.0.1","dns":["::1"]},"agent":{"advertise":"h","address":"h:1"},"boot":"kexec"}`},
		{"PATCH", "/nodes/n1", `{"url":"https://x","insecure":true,"ssh_port":22,"remove_labels":["a"]}`},
		{"POST", "/nodes/n1/repair?reason=x", ""},
		{"GET", "/nodes/n1/console?lines=5", ""},
		{"PUT", "/pools/ci?new=true", `{"name":"ci","quota":1,"erase_minimum":"purge","timeouts":{"power":1,"kexec":2}}`},
		{"PUT", "/images/a", `{"source":"/a","sha256":"00","format":"raw","arch":"amd64","user":"x","boot":"reboot"}`},
		{"GET", "/events?node=n1&allocation=m-1&after=7&limit=1", ""},
		{"GET", "/machines?owner=a&state=Deployed,Failed&live=true", ""},
		{"GET", "/machine?name=a", ""},
		{"POST", "/tokens", `{"name":"a","role":"user","pools":["default"],"quota":3,"lifetime":"720h"}`},
		{"GET", "/audit?since=2026-01-01T00:00:00Z&limit=3", ""},
		{"POST", "/reconcile", `{"abandon_deploys":true}`},
		{"GET", "/requests/r-1/progress", ""},
	} {
		f.Add(seed.method, seed.path, seed.body)
	}
	f.Fuzz(func(t *testing.T, method, path, body string) {
		target, err := url.Parse(api.Prefix + path)
		if err != nil || strings.Contains(path, "?") && strings.Contains(path, "#") {
			t.Skip()
		}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", strings.NewReader(body))
		req.Method, req.URL = method, target
		req.Header.Set("Authorization", "Bearer "+ops)
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		switch {
		case w.Code/100 == 2, w.Code/100 == 3:
		case w.Code == http.StatusTooManyRequests:
			t.Skip()
		case w.Code == http.StatusInternalServerError:
			t.Errorf("%s %s %s: %d %s", method, path, body, w.Code, w.Body)
		case strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain"): // no such path or method: net/http's own
		default:
			var p api.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Kind == "" || p.Kind == core.Internal {
				t.Errorf("%s %s %s: %d %s", method, path, body, w.Code, w.Body)
			}
		}
	})
}
