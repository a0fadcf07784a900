package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"github.com/metalpool/metalpool/core"
)

// source is where an image's file is: a path, or a URL.
type source struct {
	path string
	url  *url.URL
}

func locate(text string) (source, error) {
	if text == "" {
		return source{}, invalid("name a file or an https URL", errors.New("no file is named"))
	}
	scheme, _, isURL := strings.Cut(text, "://")
	if !isURL {
		path, err := filepath.Abs(text)
		return source{path: path}, err
	}
	u, err := url.Parse(text)
	switch {
	case err != nil: // which has the URL, and that may have a password
		return source{}, invalid("", errors.New("its URL is not one"))
	case u.Scheme != "https" && u.Scheme != "http":
		return source{}, invalid("name a file by its path alone, or an https URL", fmt.Errorf("a URL of the scheme %s", scheme))
	case u.Host == "":
		return source{}, invalid("", errors.New("its URL names no server"))
	case u.User != nil:
		return source{}, invalid("fetch the file yourself, and add it by its path", errors.New("its URL has a user or password in it, which would be stored and shown"))
	}
	return source{url: u}, nil
}

// text is what goes into the catalogue.
func (s source) text() string {
	if s.url != nil {
		return s.url.String()
	}
	return s.path
}

// String is for people: a URL without its query, which may be a signature.
func (s source) String() string {
	if s.url != nil {
		return s.url.Scheme + "://" + s.url.Host + s.url.Path
	}
	return s.path
}

// openFile opens the file at a path, which must be a regular one.
func openFile(path string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(path) // before it is opened, which on a pipe would wait
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, invalid("", errors.New("it is no file but a folder or a device"))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// hash returns the SHA-256 of size bytes of a file, hex. Holes are hashed, and not
// read: that would fill the page cache with zeros.
func hash(ctx context.Context, f *os.File, size int64, moved func(core.Bytes)) (string, error) {
	sum := sha256.New()
	buffer := make([]byte, 1<<20)
	for off := int64(0); off < size; {
		if err := context.Cause(ctx); err != nil {
			return "", err
		}
		n := min(size-off, int64(len(buffer)))
		if hole(f, off, n) {
			sum.Write(zeros[:n])
		} else {
			if err := readFull(f, buffer[:n], off); err != nil {
				return "", err
			}
			sum.Write(buffer[:n])
		}
		off += n
		moved(core.Bytes(off))
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// memo is what a file's SHA-256 was when it was read whole.
type memo struct {
	Path     string    `json:"path"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	SHA256   string    `json:"sha256"`
}

// settled is how old a file's last change must be for its time to tell it from the
// next one: clocks of file systems are coarse.
const settled = 2 * time.Second

func (l *Library) memoName(path string) string {
	sum := sha256.Sum256([]byte(path))
	return filepath.Join(l.dir, sourcesDir, hex.EncodeToString(sum[:]))
}

// remember keeps a file's SHA-256; a memo that cannot be kept costs time only.
func (l *Library) remember(path string, info fs.FileInfo, read time.Time, sum string) {
	if read.Sub(info.ModTime()) < settled {
		return
	}
	text, err := json.Marshal(memo{path, info.Size(), info.ModTime(), sum})
	if err == nil {
		_ = renameio.WriteFile(l.memoName(path), text, 0o600)
	}
}

// remembered returns the SHA-256 of a file that is as it was when that was found.
func (l *Library) remembered(path string, info fs.FileInfo) (string, bool) {
	text, err := os.ReadFile(l.memoName(path))
	if err != nil {
		return "", false
	}
	var m memo
	ok := json.Unmarshal(text, &m) == nil && m.Path == path && m.Size == info.Size() && m.Modified.Equal(info.ModTime()) && isSHA256(m.SHA256)
	return m.SHA256, ok
}

// isSHA256 reports whether text is one in lower-case hex; it becomes a file's name.
func isSHA256(text string) bool {
	return len(text) == 2*sha256.Size && strings.Trim(text, "0123456789abcdef") == ""
}
