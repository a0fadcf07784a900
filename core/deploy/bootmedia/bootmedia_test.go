package bootmedia_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core/deploy/bootmedia"
	"github.com/metalpool/metalpool/core/deploy/iso9660"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

func build(t testing.TB, c bootmedia.Contents) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := bootmedia.Write(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, iso []byte) *bootmedia.ISO {
	t.Helper()
	i, err := bootmedia.Open(bytes.NewReader(iso), int64(len(iso)))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func area(text string) []byte {
	a := make([]byte, wire.AreaSize)
	copy(a, text)
	return a
}

func media(t testing.TB, i *bootmedia.ISO, text string) *bootmedia.Media {
	t.Helper()
	m, err := i.Media(area(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func extra() bootmedia.Contents {
	return bootmedia.Contents{
		Files:  []iso9660.File{{Name: "A.TXT", Size: 3, Data: strings.NewReader("abc")}, {Name: "Z.TXT", Size: 5000, Data: strings.NewReader(strings.Repeat("z", 5000))}},
		System: &iso9660.File{Size: 10_000, Data: strings.NewReader(strings.Repeat("s", 10_000))},
	}
}

func TestMediaDifferInTheAreaAlone(t *testing.T) {
	for name, contents := range map[string]bootmedia.Contents{"area alone": {}, "with a system": extra()} {
		t.Run(name, func(t *testing.T) {
			base := build(t, contents)
			iso := open(t, base)
			one, two := media(t, iso, "one\x00behind a zero"), media(t, iso, "two")
			for _, m := range []*bootmedia.Media{one, two} {
				if m.Size() != int64(len(base)) {
					t.Fatalf("size %d, the ISO has %d", m.Size(), len(base))
				}
			}
			for m, want := range map[*bootmedia.Media]string{one: "one\x00behind a zero", two: "two"} {
				got, err := bootmedia.ReadParams(m)
				if err != nil || !bytes.Equal(got, area(want)) {
					t.Errorf("%q: the area reads %q, %v", want, bytes.TrimRight(got, "\x00"), err)
				}
				whole, err := io.ReadAll(io.NewSectionReader(m, 0, m.Size()))
				if err != nil {
					t.Fatal(err)
				}
				at := bytes.Index(whole, []byte(want))
				if at < 0 {
					t.Fatalf("%q is not in the media", want)
				}
				copy(whole[at:], wire.BlankArea())
				if !bytes.Equal(whole, base) {
					t.Error("the media differs from the ISO outside of the area")
				}
			}
		})
	}
}

// Whatever piece is read, it is what the whole has there.
func TestMediaInPieces(t *testing.T) {
	base := build(t, extra())
	full := make([]byte, wire.AreaSize)
	for i := range full {
		full[i] = byte(i%251) + 1
	}
	for name, params := range map[string][]byte{"full": full, "short": area("short")} {
		m, err := open(t, base).Media(params)
		if err != nil {
			t.Fatal(err)
		}
		whole := make([]byte, m.Size())
		if _, err := m.ReadAt(whole, 0); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		at := int64(bytes.Index(whole, params[:5]))
		if at < 0 || !bytes.Equal(whole[at:at+wire.AreaSize], params) {
			t.Fatalf("%s: the area is not as it was given", name)
		}
		for _, from := range []int64{0, at - 1, at, at + 1, at + 5, at + wire.AreaSize - 1, at + wire.AreaSize, m.Size() - 1} {
			for _, n := range []int64{1, 2, 512, 2048, wire.AreaSize, 2 * wire.AreaSize} {
				p := make([]byte, n)
				got, err := m.ReadAt(p, from)
				if want := whole[from:min(from+n, m.Size())]; !bytes.Equal(p[:got], want) {
					t.Fatalf("%s: %d bytes at %d differ (%v)", name, n, from, err)
				}
			}
		}
	}
}

func TestMediaOverHTTP(t *testing.T) {
	iso := open(t, build(t, bootmedia.Contents{}))
	m := media(t, iso, "params")
	server := httptest.NewServer(m)
	defer server.Close()
	whole := make([]byte, m.Size())
	if _, err := m.ReadAt(whole, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}

	tests := []struct {
		method, ranges string
		status         int
		body           []byte
	}{
		{"GET", "", 200, whole},
		{"HEAD", "", 200, nil},
		{"GET", "bytes=0-0", 206, whole[:1]},
		{"GET", "bytes=40000-50000", 206, whole[40000:50001]},
		{"GET", "bytes=-100", 206, whole[len(whole)-100:]},
		{"GET", "bytes=99999999-", 416, nil},
		{"POST", "", 405, nil},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.ranges, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.ranges != "" {
				req.Header.Set("Range", tt.ranges)
			}
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tt.status)
			}
			if tt.body != nil && !bytes.Equal(body, tt.body) {
				t.Errorf("%d bytes differ from the %d wanted", len(body), len(tt.body))
			}
			if tt.method == "HEAD" && resp.ContentLength != m.Size() {
				t.Errorf("length %d, want %d", resp.ContentLength, m.Size())
			}
			if tt.status < 300 && resp.Header.Get("ETag") == "" {
				t.Error("no ETag")
			}
		})
	}
	if etag(t, media(t, iso, "params")) != etag(t, m) {
		t.Error("equal media have different ETags")
	}
	if etag(t, media(t, iso, "others")) == etag(t, m) {
		t.Error("different media have one ETag")
	}
}

func etag(t *testing.T, m *bootmedia.Media) string {
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/", nil))
	return w.Result().Header.Get("ETag")
}

// A BMC fetches the header and the area of a large ISO, not all of it.
func TestReadParamsReadsLittle(t *testing.T) {
	const large = 50 << 20
	c := bootmedia.Contents{System: &iso9660.File{Size: large, Data: io.LimitReader(zeros{}, large)}}
	r := &counter{r: bytes.NewReader(build(t, c))}
	if _, err := bootmedia.ReadParams(r); err != nil {
		t.Fatal(err)
	}
	if r.n > wire.AreaSize+8<<10 {
		t.Errorf("read %d bytes", r.n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type counter struct {
	r io.ReaderAt
	n int
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += n
	return n, err
}

func TestReadParamsRefuses(t *testing.T) {
	base := build(t, bootmedia.Contents{})
	var other bytes.Buffer
	l, err := iso9660.Plan(iso9660.Volume{ID: "OTHER"})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Write(&other); err != nil {
		t.Fatal(err)
	}
	for name, medium := range map[string][]byte{
		"nothing":       nil,
		"zeros":         make([]byte, 1<<20),
		"another ISO":   other.Bytes(),
		"cut in header": base[:33000],
		"cut in area":   base[:len(base)-1],
	} {
		if _, err := bootmedia.ReadParams(bytes.NewReader(medium)); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := bootmedia.Open(bytes.NewReader(medium), int64(len(medium))); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := open(t, base).Media(make([]byte, 10)); err == nil {
		t.Error("an area of 10 bytes was taken")
	}
}

func FuzzReadParams(f *testing.F) {
	f.Add(build(f, bootmedia.Contents{}))
	f.Fuzz(func(t *testing.T, medium []byte) {
		area, err := bootmedia.ReadParams(bytes.NewReader(medium))
		if err == nil && len(area) != wire.AreaSize {
			t.Errorf("an area of %d bytes", len(area))
		}
	})
}
