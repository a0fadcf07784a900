package bootmedia

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/metalpool/metalpool/core/deploy/wire"
)

// Media is the ISO as one boot gets it.
type Media struct {
	iso  *ISO
	area []byte // what is behind it in the area is zero
	etag string
}

// Media puts an area of AreaSize bytes into the ISO. It keeps a copy of what is in
// the area, and nothing of the ISO.
func (iso *ISO) Media(area []byte) (*Media, error) {
	if len(area) != wire.AreaSize {
		return nil, fmt.Errorf("a parameter area of %d bytes instead of %d", len(area), wire.AreaSize)
	}
	used := bytes.Clone(bytes.TrimRight(area, "\x00"))
	sum := sha256.New()
	sum.Write(iso.digest[:])
	sum.Write(used)
	return &Media{iso: iso, area: used, etag: `"` + hex.EncodeToString(sum.Sum(nil)) + `"`}, nil
}

// Size is the medium's, in bytes.
func (m *Media) Size() int64 { return m.iso.size }

// ReadAt reads the medium, the parameter area included.
func (m *Media) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.iso.data.ReadAt(p, off)
	// The part of the area that was read, if any of it was.
	from, to := max(off, m.iso.area), min(off+int64(n), m.iso.area+wire.AreaSize)
	if from < to {
		dst := p[from-off : to-off]
		copied := copy(dst, m.area[min(from-m.iso.area, int64(len(m.area))):])
		clear(dst[copied:])
	}
	return n, err
}

// ServeHTTP answers GET and HEAD, with Range: BMCs read their virtual CD in pieces.
func (m *Media) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "boot media can only be read", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/x-iso9660-image")
	w.Header().Set("ETag", m.etag)
	// The token in the area is for one node's eyes.
	w.Header().Set("Cache-Control", "no-store")
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(m, 0, m.iso.size))
}
