package bmc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrEjected is what reads of media answer after it was ejected.
var ErrEjected = errors.New("the virtual media was ejected")

// errNotISO says that an image has no ISO 9660 volume descriptor.
var errNotISO = errors.New("the image has no ISO 9660 volume descriptor in sector 16")

// ISO 9660: the volume descriptors start at sector 16.
const (
	sectorSize       = 2048
	descriptorOffset = 16 * sectorSize
)

// Media is an inserted image, read over HTTP range requests: one for each
// ReadAt, none ahead. It is safe for concurrent use.
type Media struct {
	url            string
	user, password string
	client         *http.Client
	timeout        time.Duration // of each request
	eject          context.CancelFunc
	ejected        context.Context
	size           int64 // known once probe returned without error
	requests       atomic.Int64
	bytes          atomic.Int64
}

func newMedia(url, user, password string, verify bool, timeout time.Duration) *Media {
	m := &Media{url: url, user: user, password: password, client: fetchClient(verify), timeout: timeout}
	m.ejected, m.eject = context.WithCancel(context.Background())
	return m
}

// URL is where the image is fetched from.
func (m *Media) URL() string { return m.url }

// Size is the length of the image in bytes.
func (m *Media) Size() int64 { return m.size }

// Fetched is how many requests the BMC made for this image, and how many bytes
// it read of the answers.
func (m *Media) Fetched() (requests, bytes int64) { return m.requests.Load(), m.bytes.Load() }

// ReadAt reads from the image as io.ReaderAt says. It fails with ErrEjected once
// the media was ejected, and with what the image's server answered.
func (m *Media) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read virtual media: negative offset %d", off)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off >= m.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > m.size-off
	if short {
		p = p[:m.size-off]
	}
	n, _, err := m.fetch(p, off)
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

// probe finds the size of the image; of a disc also that it is one.
func (m *Media) probe(disc bool) error {
	off, buffer := int64(0), make([]byte, 512)
	if disc {
		off, buffer = descriptorOffset, make([]byte, sectorSize)
	}
	_, size, err := m.fetch(buffer, off)
	if err != nil {
		return err
	}
	if disc && string(buffer[1:6]) != "CD001" {
		return errNotISO
	}
	m.size = size
	return nil
}

// fetch reads all of p from off, and returns the size of the image.
func (m *Media) fetch(p []byte, off int64) (n int, size int64, err error) {
	ctx, cancel := context.WithTimeout(m.ejected, m.timeout)
	defer cancel()
	defer func() {
		if m.ejected.Err() != nil {
			err = ErrEjected
		}
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url, nil)
	if err != nil {
		return 0, 0, errors.New("fetch virtual media: the URL is malformed")
	}
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1))
	request.Header.Set("Accept-Encoding", "identity")
	if m.user != "" {
		request.SetBasicAuth(m.user, m.password)
	}
	m.requests.Add(1)
	response, err := m.client.Do(request)
	if err != nil {
		return 0, 0, fmt.Errorf("fetch virtual media: %w", withoutURL(err))
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusPartialContent:
	case http.StatusRequestedRangeNotSatisfiable:
		return 0, 0, errNotISO // shorter than its own header
	case http.StatusOK:
		return 0, 0, errors.New("fetch virtual media: its server does not serve byte ranges")
	default:
		return 0, 0, fmt.Errorf("fetch virtual media: its server answered %s", response.Status)
	}
	size, err = rangeSize(response.Header.Get("Content-Range"), off)
	if err != nil {
		return 0, 0, err
	}
	n, err = io.ReadFull(response.Body, p)
	m.bytes.Add(int64(n))
	if err != nil {
		return n, 0, fmt.Errorf("fetch virtual media: its server cut the answer short: %w", withoutURL(err))
	}
	return n, size, nil
}

// rangeSize reads the size from a Content-Range that must start at off.
func rangeSize(header string, off int64) (int64, error) {
	span, total, ok := strings.Cut(strings.TrimPrefix(header, "bytes "), "/")
	first, _, _ := strings.Cut(span, "-")
	size, err := strconv.ParseInt(total, 10, 64)
	if !ok || err != nil || first != strconv.FormatInt(off, 10) {
		return 0, fmt.Errorf("fetch virtual media: its server answered with the range %q instead of one from byte %d", header, off)
	}
	return size, nil
}

// withoutURL removes the URL from an error of the HTTP client: it may hold a
// secret, and whoever reads the error knows it.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// fetchClient is shared by all BMCs of the process, so that a rack of them keeps
// a few connections to the server of its media. A BMC does not verify that
// server's certificate unless VerifyCertificate was set.
func fetchClient(verify bool) *http.Client {
	if verify {
		return verifyingClient()
	}
	return trustingClient()
}

var (
	verifyingClient = sync.OnceValue(func() *http.Client { return newFetchClient(&tls.Config{}) })
	trustingClient  = sync.OnceValue(func() *http.Client { return newFetchClient(&tls.Config{InsecureSkipVerify: true}) })
)

func newFetchClient(c *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSClientConfig:     c,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     5 * time.Second,
		DisableCompression:  true,
	}}
}
