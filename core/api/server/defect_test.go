package server_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/server"
)

// broken is a pool with a defect.
type broken struct{ *core.Engine }

func (broken) Images(context.Context) ([]core.Image, error) { panic("no picture") }

func (broken) ConsoleTail(context.Context, core.NodeID, int) ([]string, error) { panic("no picture") }

// A defect that a read meets is answered, and logged where somebody sees it, also where
// the answer is for several.
func TestADefectIsTold(t *testing.T) {
	for _, path := range []string{"/v1/images", "/v1/nodes/n1/console"} {
		t.Run(path, func(t *testing.T) { defectIsTold(t, path) })
	}
}

func defectIsTold(t *testing.T, path string) {
	r := newRig(t, 1)
	e, _ := r.engine()
	log := &lockedBuffer{}
	s := httptest.NewServer(server.New(server.Config{Pool: broken{e}, Log: slog.New(slog.NewJSONHandler(log, nil))}))
	defer s.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.operator())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusInternalServerError || !strings.Contains(string(text), "a defect of its own") || strings.Contains(string(text), "picture") {
		t.Errorf("%s %s, %v", resp.Status, text, err)
	}
	if !strings.Contains(log.String(), "no picture") {
		t.Errorf("the log has %s", log)
	}
}
