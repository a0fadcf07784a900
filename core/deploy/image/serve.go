package image

import (
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// Opened is an image that can be served. Its Close frees it; requests after it are
// answered all the same, as long as the pack is kept.
type Opened struct {
	pack     *pack
	manifest core.Manifest
	free     func()
}

// Manifest lists the chunks. Where they are reached is not set. Its Chunks are
// shared, and not to be changed.
func (o *Opened) Manifest() core.Manifest { return o.manifest }

// Close may be called more than once.
func (o *Opened) Close() error {
	o.free()
	return nil
}

func (p *pack) manifest() core.Manifest {
	m := core.Manifest{Size: p.Size, ChunkSize: core.Bytes(p.ChunkSize), Chunks: make([]string, len(p.Chunks))}
	for i, c := range p.Chunks {
		m.Chunks[i] = c.Sum
	}
	return m
}

// ServeHTTP answers GET and HEAD of /N with chunk N, zstd. An all-zero chunk is not
// there. The kernel copies from the pack to the connection, so that a thousand
// agents cost a thousand open files and no memory of ours.
func (o *Opened) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "chunks can only be read", http.StatusMethodNotAllowed)
		return
	}
	n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil || n < 0 || n >= len(o.pack.Chunks) || o.pack.Chunks[n].Sum == "" {
		http.NotFound(w, r)
		return
	}
	c := o.pack.Chunks[n]
	f, err := os.Open(o.pack.path())
	if err == nil {
		defer func() { _ = f.Close() }()
		_, err = f.Seek(c.Offset, io.SeekStart)
	}
	if err != nil {
		http.Error(w, "the chunk cannot be read now", http.StatusServiceUnavailable)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/zstd") // without it the first bytes would be looked at
	h.Set("Content-Length", strconv.FormatInt(c.Length, 10))
	h.Set("ETag", `"`+c.Sum+`"`)
	if r.Method == http.MethodHead {
		return
	}
	_, _ = io.CopyN(w, f, c.Length) // an agent that has gone asks again
}
