package lab_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/bmc"
)

// What does not enroll leaves nothing behind, neither in the pool nor on the server.
func TestEnrolmentIsRefused(t *testing.T) {
	page := func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<!DOCTYPE html><title>Printer</title>")
	}
	secure, plain := httptest.NewTLSServer(http.HandlerFunc(page)), httptest.NewServer(http.HandlerFunc(page))
	t.Cleanup(secure.Close)
	t.Cleanup(plain.Close)
	for _, c := range []struct {
		name  string
		spoil func(s *story, in *core.Enrollment)
		kind  core.Kind
		says  []string
	}{
		{"nobody listens", func(s *story, in *core.Enrollment) { try(s.t, s.lab.Nodes()[0].Unplug()) }, core.Transient, []string{"no contact", "refused", "this host reaches it"}},
		{"a wrong password", func(_ *story, in *core.Enrollment) { in.Password = "hunter2" }, core.Denied, []string{"401", "check the user and password"}},
		{"another certificate", func(_ *story, in *core.Enrollment) { in.Fingerprint = strings.Repeat("0", 64) }, core.Denied, []string{strings.Repeat("0", 64), "somebody is in between"}},
		{"a web server", func(_ *story, in *core.Enrollment) { in.URL, in.Fingerprint = secure.URL, "" }, core.Backend, []string{"is not Redfish", "Printer", "check that the URL"}},
		{"no TLS", func(_ *story, in *core.Enrollment) {
			in.URL, in.Fingerprint = strings.Replace(plain.URL, "http:", "https:", 1), ""
		}, core.Backend, []string{"does not speak TLS", "check the port"}},
		{"garbage", func(s *story, _ *core.Enrollment) {
			s.bmcFault(s.lab.Nodes()[0], bmc.Fault{Kind: bmc.Garbage, Count: bmc.Forever})
		}, core.Backend, []string{"is not Redfish"}},
		{"only 500", func(s *story, _ *core.Enrollment) {
			s.bmcFault(s.lab.Nodes()[0], bmc.Fault{Kind: bmc.Fail, Status: 500, Count: bmc.Forever})
		}, core.Backend, []string{"answered 500"}},
		{"only 503", func(s *story, _ *core.Enrollment) {
			s.bmcFault(s.lab.Nodes()[0], bmc.Fault{Kind: bmc.Fail, Status: 503, Count: bmc.Forever})
		}, core.Transient, []string{"answered 503", "try again"}},
		{"cut connections", func(s *story, _ *core.Enrollment) {
			s.bmcFault(s.lab.Nodes()[0], bmc.Fault{Kind: bmc.Cut, Count: bmc.Forever})
		}, core.Transient, []string{"the connection broke"}},
		{"no address", func(_ *story, in *core.Enrollment) { in.URL = "10.0.0.7" }, core.Invalid, []string{"https://host[:port]"}},
		{"no pool", func(_ *story, in *core.Enrollment) { in.Pool = "attic" }, core.NotFound, []string{"attic", "there are: default"}},
		{"no name", func(_ *story, in *core.Enrollment) { in.ID = "under_score" }, core.Invalid, []string{"under_score", "letters, digits and dashes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := emptyStory(t, 1)
			in := s.lab.Rack().Nodes[0].Enrollment()
			in.Erase = true
			c.spoil(s, &in)
			_, err := s.Enroll(t.Context(), in, nil)
			s.refused(err, c.kind, c.says...)
			s.none()
			s.sound()
		})
	}
}

// none checks that the pool has no nodes.
func (s *story) none() {
	s.t.Helper()
	nodes, err := s.Nodes(s.t.Context(), core.NodeFilter{})
	if err != nil || len(nodes) != 0 {
		s.t.Errorf("the pool has %v, %v", nodes, err)
	}
}

// A server is in a pool once, under whatever name and address it is shown again.
func TestAServerIsEnrolledOnce(t *testing.T) {
	s := newStory(t, 2)
	first, second := s.lab.Nodes()[0], s.lab.Nodes()[1]
	again := s.lab.Rack().Nodes[0].Enrollment()
	for _, c := range []struct {
		name   string
		change func(in *core.Enrollment)
		says   []string
	}{
		{"the same", func(*core.Enrollment) {}, []string{"n001"}},
		{"under another name", func(in *core.Enrollment) { in.ID = "other" }, []string{"n001"}},
		{"under its serial", func(in *core.Enrollment) { in.ID = "" }, []string{"n001"}},
		{"under another address", func(in *core.Enrollment) { in.ID, in.URL = "other", "https://"+forward(t, in.URL) }, []string{"n001"}},
		{"another under its name", func(in *core.Enrollment) { *in = s.lab.Rack().Nodes[1].Enrollment(); in.ID = "n001" }, []string{"n001"}},
	} {
		in := again
		c.change(&in)
		in.Erase = true
		_, err := s.Enroll(t.Context(), in, nil)
		s.refused(err, core.Exists, c.says...)
	}
	s.at(first, core.Available)
	s.at(second, core.Available)
	s.sound()
}

// forward is another address of the same server.
func forward(t *testing.T, url string) string {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	try(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "https://"))
			if err != nil {
				_ = in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
	return l.Addr().String()
}

// A server that another pool tagged is refused until the operator says that he means
// it; retiring it takes the tag away.
func TestAServerOfAnotherPool(t *testing.T) {
	s := newStory(t, 1)
	node := s.lab.Nodes()[0]
	other := storyOf(t, s.lab)
	in := s.lab.Rack().Nodes[0].Enrollment()
	in.Erase = true
	_, err := other.Enroll(t.Context(), in, nil)
	other.refused(err, core.Denied, "belongs to another pool", s.store.Info().PoolID, "retire it there", "--take-over")
	other.none()
	s.at(node, core.Available)

	in.TakeOver = true
	_, err = other.Enroll(t.Context(), in, nil)
	try(t, err)
	other.sound()
	other.at(node, core.Available)
	try(t, other.Retire(t.Context(), node.ID(), "sold"))
	in.TakeOver = false
	third := storyOf(t, s.lab)
	_, err = third.Enroll(t.Context(), in, nil)
	try(t, err)
	third.sound()
	third.at(node, core.Available)
}
