package image_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/image"
)

func TestServe(t *testing.T) {
	dir := t.TempDir()
	l := image.NewLibrary(dir)
	o := open(t, l, examine(t, l, core.Image{Source: write(t, testDisk(t))}))
	server := httptest.NewServer(o)
	defer server.Close()
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/0", 200},
		{"HEAD", "/0", 200},
		{"GET", "/1", 404}, // all zeros
		{"GET", "/2", 200},
		{"GET", "/3", 404},
		{"GET", "/-1", 404},
		{"GET", "/", 404},
		{"GET", "/0/0", 404},
		{"GET", "/99999999999999999999", 404},
		{"POST", "/0", 405},
	} {
		status, body, etag, length := get(t, tt.method, server.URL+tt.path)
		if status != tt.status {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, status, tt.status)
		}
		if status == 200 && (etag == "" || length <= 0 || tt.method == "GET" && body != length) {
			t.Errorf("%s %s: ETag %q, length %d, body %d", tt.method, tt.path, etag, length, body)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if status, _, _, _ := get(t, "GET", server.URL+"/0"); status != 503 {
		t.Errorf("%d where the pack is gone: an agent asks again after 503", status)
	}
}

func get(t *testing.T, method, url string) (status int, body int64, etag string, length int64) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.Copy(io.Discard, resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body, resp.Header.Get("ETag"), resp.ContentLength
}
