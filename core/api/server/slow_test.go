package server_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core/api/server"
)

// stuck is a body of which the rest never comes.
type stuck struct {
	began  bool
	closed chan struct{}
	once   sync.Once
}

func (s *stuck) Read(p []byte) (int, error) {
	if !s.began {
		s.began = true
		return copy(p, "{"), nil
	}
	<-s.closed
	return 0, errors.New("closed")
}

// Close is called by the client, which has its answer.
func (s *stuck) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// HTTP/2 has no connection to cut off for one of many: the request alone is given up.
func TestASlowBodyIsGivenUpOnHTTP2(t *testing.T) {
	r := newRig(t, 0)
	e, _ := r.engine()
	s := httptest.NewUnstartedServer(server.New(server.Config{Pool: e, BodyTime: 100 * time.Millisecond}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	body := &stuck{closed: make(chan struct{})}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/v1/machines/m-1", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.operator())
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.Client().Do(req)
	if err != nil {
		return // the stream was reset: that is an end, too
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode/100 != 4 {
		t.Errorf("HTTP/%d answers %s", resp.ProtoMajor, resp.Status)
	}
}
