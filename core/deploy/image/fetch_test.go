package image_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/image"
)

func TestFetch(t *testing.T) {
	disk := testDisk(t)
	packed := compress(t, "gz", disk)
	asked := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/disk.gz", func(w http.ResponseWriter, _ *http.Request) {
		asked++
		// What a server says of a .gz must not make the client unpack it.
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed)
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/disk.gz", http.StatusFound) })
	server := httptest.NewServer(mux)
	defer server.Close()

	dir := t.TempDir()
	l := image.NewLibrary(dir)
	for n, path := range []string{"/disk.gz", "/moved"} {
		source := server.URL + path
		got := examine(t, l, core.Image{Source: source, SHA256: sum(packed)})
		if got.Source != source || got.Format != "raw.gz" || got.Size != core.Bytes(len(disk)) {
			t.Errorf("examined as %+v", got)
		}
		if !bytes.Equal(lay(t, open(t, image.NewLibrary(dir), got)), disk) {
			t.Error("another disk came out")
		}
		if asked != n+1 {
			t.Errorf("fetched %d times", asked)
		}
	}
}

func TestFetchFails(t *testing.T) {
	disk := testDisk(t)
	mux := http.NewServeMux()
	for path, status := range map[string]int{"/gone": 404, "/denied": 403, "/odd": 418, "/broken": 503} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(disk)))
		_, _ = w.Write(disk[:5<<20])
	})
	mux.HandleFunc("/other", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(disk) })
	server := httptest.NewServer(mux)
	defer server.Close()
	closed := httptest.NewServer(mux)
	closed.Close()

	tests := []struct {
		url  string
		kind core.Kind
		want string
	}{
		{server.URL + "/gone", core.NotFound, "404 Not Found"},
		{server.URL + "/denied", core.Denied, "403 Forbidden"},
		{server.URL + "/odd", core.Invalid, "418"},
		{server.URL + "/broken", core.Transient, "503"},
		{server.URL + "/cut", core.Transient, "unexpected EOF"},
		{closed.URL + "/other", core.Transient, "connection refused"},
		{server.URL + "/other", core.Invalid, "its SHA-256 is " + sum(disk)},
	}
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			_, err := image.NewLibrary(t.TempDir()).Examine(t.Context(), core.Image{Source: tt.url + "?signature=secret", SHA256: sum(nil)}, nil)
			if !core.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.url) {
				t.Errorf("error %v, want one of kind %s with %q", err, tt.kind, tt.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows the URL's signature: %v", err)
			}
		})
	}
}
