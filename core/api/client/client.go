// Package client is a pool behind a `metalpool serve`, to whoever has a token for it.
//
// It holds no knowledge of servers: every verb is one request. What it must care for is
// the way there: a write is sent again, under the same ID, until its end was heard
// (send.go, follow.go), and errors are made again as the server had them.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core"
)

// Config says where a server is, and who asks.
type Config struct {
	URL   string // https://host[:port]
	Token string // a secret
	// Fingerprint pins the server's own CA, see Pinned. Without one the certificate is
	// checked as a browser does it.
	Fingerprint string
	// Patience is how long a server may be away before a write is given up; 0 is 2
	// minutes. Reads wait for a tenth of that.
	Patience time.Duration
	// Dial makes connections; nil: over the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client implements core.Operator. It is safe for concurrent use.
type Client struct {
	base     string
	token    string
	http     *http.Client
	patience time.Duration
}

var _ core.Operator = (*Client)(nil)

const (
	dialTime = 10 * time.Second
	// pingAfter is how long a connection may be silent before the server is asked for a
	// sign of life, and pingTime how long it may take.
	pingAfter = 20 * time.Second
	pingTime  = 15 * time.Second
)

// New makes a client. It connects when it is first asked for something.
func New(c Config) (*Client, error) {
	base, err := Address(c.URL)
	if err != nil {
		return nil, err
	}
	if c.Token == "" {
		return nil, &core.Error{Op: "open pool", Kind: core.Denied, Err: errors.New("no token is known for " + base), Hint: "run 'metalpool login " + base + "', or set METALPOOL_TOKEN"}
	}
	check := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.Fingerprint != "" {
		if check, err = Pinned(c.Fingerprint); err != nil {
			return nil, err
		}
	}
	if c.Patience == 0 {
		c.Patience = 2 * time.Minute
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: dialTime, KeepAlive: pingAfter}).DialContext
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           c.Dial,
		TLSClientConfig:       check,
		TLSHandshakeTimeout:   dialTime,
		ForceAttemptHTTP2:     true,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTime},
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
	return &Client{
		base: base, token: c.Token, patience: c.Patience,
		// The token goes nowhere else, whatever an answer says.
		http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// Address reads where a server is: https://host[:port], in one spelling and without a
// secret.
func Address(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", &core.Error{Op: "open pool", Kind: core.Invalid, Err: errors.New("that is not the address of a metalpool serve"), Hint: "give it as https://host:port; the token goes into METALPOOL_TOKEN"}
	}
	return "https://" + strings.ToLower(u.Host), nil
}

// Close drops idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// named is the owner as it is sent: where nobody has named one, the token does.
func named(owner string) string {
	if owner == core.DefaultOwner() {
		return ""
	}
	return owner
}

// ended says that the caller's own time was over.
func ended(ctx context.Context, d deed) error {
	return &core.Error{Op: d.op, Allocation: d.subject, Kind: core.Timeout, Err: context.Cause(ctx), Hint: d.unheard()}
}
