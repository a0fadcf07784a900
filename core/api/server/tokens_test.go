package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api"
)

// makes asks a server for a token, under the ID of a write.
func (s *running) makes(ops, request, body string) (core.Token, string) {
	s.t.Helper()
	resp, text := s.raw(http.MethodPost, "/v1/tokens", ops, body, api.HeaderRequest, request)
	var made api.Written[api.TokenMade]
	if err := json.Unmarshal([]byte(text), &made); err != nil || resp.StatusCode != http.StatusOK || made.Result == nil {
		s.t.Errorf("%s: %d %s", request, resp.StatusCode, text)
		return core.Token{}, ""
	}
	return made.Result.Token, made.Result.Secret
}

// good are the secrets that let somebody in.
func (s *running) good(secrets ...string) (good []string) {
	s.t.Helper()
	for _, secret := range secrets {
		if _, err := s.engine.Authenticate(s.t.Context(), secret); err == nil {
			good = append(good, secret)
		} else if !core.Is(err, core.Denied) {
			s.t.Error(err)
		}
	}
	return good
}

// A token whose answer was lost is asked for again, at another server too, and there is
// one in the end.
func TestATokenIsMadeOnce(t *testing.T) {
	r := newRig(t, 0)
	a, b := r.serve(""), r.serve("")
	ops := r.operator()
	const order = `{"name":"ci","pools":["default"],"quota":2,"lifetime":"1h"}`

	first, one := a.makes(ops, "r-1", order)
	if again, same := a.makes(ops, "r-1", order); again.ID != first.ID || same != one {
		t.Errorf("the same server tells another token: %s, %s", first.ID, again.ID)
	}
	second, two := b.makes(ops, "r-1", order)
	if second.ID == first.ID || one == two {
		t.Errorf("a secret is told by one who cannot know it: %s, %s", first.ID, second.ID)
	}
	if good := a.good(one, two); len(good) != 1 || good[0] != two {
		t.Errorf("%d of the two are good", len(good))
	}
	resp, text := b.raw(http.MethodPost, "/v1/tokens", ops, strings.Replace(order, `"ci"`, `"other"`, 1), api.HeaderRequest, "r-1")
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(text, "for another") {
		t.Errorf("another token under the same ID: %d %s", resp.StatusCode, text)
	}
	c := r.serve("")
	resp, text = c.raw(http.MethodPost, "/v1/tokens", ops, strings.Replace(order, `"1h"`, `"2h"`, 1), api.HeaderRequest, "r-1")
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(text, "used for another token") {
		t.Errorf("another token under the same ID elsewhere: %d %s", resp.StatusCode, text)
	}
	// Another operator's write, and another write, are others.
	_, three := a.makes(r.operator(), "r-1", order)
	_, four := a.makes(ops, "r-2", order)
	if good := a.good(two, three, four); len(good) != 3 {
		t.Errorf("%d of three tokens are good", len(good))
	}
}

// Of those who ask at once for the same, wherever, one has a token that is good; of those
// who ask for the like, each.
func TestATokenIsMadeOnceAtOnce(t *testing.T) {
	r := newRig(t, 0)
	servers := []*running{r.serve(""), r.serve("")}
	ops := r.operator()
	for _, test := range []struct {
		request func(i int) string
		good    int
	}{{func(int) string { return "r-same" }, 1}, {func(i int) string { return "r-" + string(rune('a'+i)) }, 8}} {
		secrets := make([]string, 8)
		var all sync.WaitGroup
		for i := range secrets {
			all.Go(func() { _, secrets[i] = servers[i%2].makes(ops, test.request(i), `{"name":"ci"}`) })
		}
		all.Wait()
		told := map[string]bool{}
		for _, good := range servers[0].good(secrets...) {
			told[good] = true
		}
		if len(told) != test.good {
			t.Errorf("%d tokens are good, want %d", len(told), test.good)
		}
	}
}

// Refused writes that were only counted are in the audit log once the server has ended.
func TestAServerThatEndsTellsOfCountedRefusals(t *testing.T) {
	r := newRig(t, 0)
	s := r.serve("")
	eve := r.token(core.TokenOrder{Name: "eve", Role: core.RoleViewer})
	const asked = 60
	for range asked {
		if w := ask(t, s, eve, http.MethodDelete, "/v1/machines/m-1", ""); w.Code != http.StatusForbidden {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	s.end()
	log, err := s.engine.Audit(t.Context(), core.AuditFilter{})
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, line := range log {
		many := 1
		if text, summed := strings.CutPrefix(line.Error, "the last of "); summed {
			if _, err := fmt.Sscan(text, &many); err != nil {
				t.Fatal(err)
			}
		}
		told += many
	}
	if told != asked || len(log) == asked {
		t.Errorf("%d refused writes are told of by %d lines as %d", asked, len(log), told)
	}
}
