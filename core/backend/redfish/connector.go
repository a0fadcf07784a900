package redfish

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/stmcginnis/gofish"

	"github.com/metalpool/metalpool/core"
)

// Options are the times of a Connector; zero means the default. Each wait also
// ends with the context of the call.
type Options struct {
	Request time.Duration // one request, its answer's body included; 20 s
	First   time.Duration // from a reset to the first look at the power; 250 ms
	Poll    time.Duration // between two looks at a state that is to change; 1 s
	Settle  time.Duration // until a change that was taken must show; 2 min
	Doubt   time.Duration // the same where the answer said neither yes nor no; 20 s
	Watch   time.Duration // the same for settings and tasks, which take minutes; 5 s
	Apply   time.Duration // until a server's firmware has put into force what it was set to, and for a task; 15 min
	Grace   time.Duration // for an operating system to shut down; 90 s
	Retry   time.Duration // before the first repeat of a request; doubles, three times; 1 s
	Keep    time.Duration // a connection for the conversation after the one that ended; 2 s

	Console time.Duration // to open a serial console, all told; 20 s
	Prompt  time.Duration // for a BMC's command line to ask for a command; 5 s
	Entry   time.Duration // for it to refuse the one that leads into the console; 1.5 s
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&o.Request, 20 * time.Second},
		{&o.First, 250 * time.Millisecond},
		{&o.Poll, time.Second},
		{&o.Settle, 2 * time.Minute},
		{&o.Doubt, 20 * time.Second},
		{&o.Watch, 5 * time.Second},
		{&o.Apply, 15 * time.Minute},
		{&o.Grace, 90 * time.Second},
		{&o.Retry, time.Second},
		{&o.Keep, 2 * time.Second},
		{&o.Console, 20 * time.Second},
		{&o.Prompt, 5 * time.Second},
		{&o.Entry, 1500 * time.Millisecond},
	} {
		if *d.value <= 0 {
			*d.value = d.or
		}
	}
	return o
}

// Connector opens conversations with Redfish BMCs. Between them it holds connections,
// for seconds.
type Connector struct {
	options Options
	shelf   shelf
}

var _ core.Connector = (*Connector)(nil)

// New makes a Connector.
func New(o Options) *Connector { return &Connector{options: o.withDefaults()} }

// Connect makes no request. It waits until no other conversation of this process
// holds the BMC (by host and port); a context that ends first is Busy. An endpoint
// that can never work is Invalid.
//
// e.URL is https://host[:port], and where a BMC serves several systems the path of
// the one meant: https://host/redfish/v1/Systems/2.
func (c *Connector) Connect(ctx context.Context, e core.Endpoint, password string, fence core.Fence) (core.BMC, error) {
	b, err := c.prepare(e, password)
	if err != nil {
		return nil, err
	}
	leave, err := turns.take(ctx, b.at.key)
	if err != nil {
		return nil, &core.Error{Op: opConnect, Kind: core.Busy, Err: fmt.Errorf("BMC %s: another job of this process speaks to it: %w", b.at.base, err), Hint: "try again"}
	}
	b.leave = leave
	if err := b.pickUp(e.User, password, fence); err != nil {
		leave()
		return nil, err
	}
	return b, nil
}

const opConnect = "connect to BMC"

// converse begins a conversation that has no turn: it only reads.
func (c *Connector) converse(e core.Endpoint, password string) (*conversation, error) {
	b, err := c.prepare(e, password)
	if err != nil {
		return nil, err
	}
	return b, b.pickUp(e.User, password, nil)
}

// prepare checks the endpoint.
func (c *Connector) prepare(e core.Endpoint, password string) (*conversation, error) {
	const op = opConnect
	at, err := parseAddress(e.URL)
	if err != nil {
		return nil, invalid(op, err, "give its URL as https://host[:port]")
	}
	at.node = e.Node
	if at.plain && !e.TLS.Insecure {
		return nil, invalid(op, fmt.Errorf("%s would carry the password unencrypted", at.base), "use https, or enrol it explicitly as insecure")
	}
	config, err := tlsConfig(e.TLS)
	if err != nil {
		return nil, invalid(op, fmt.Errorf("BMC %s: %w", at.base, err), "give a CA in PEM, or the certificate's SHA-256 in hex")
	}
	b := &conversation{
		options: c.options,
		at:      at,
		scrub:   scrubber(e.User, password),
		links:   maps.Clone(e.Links),
		shelf:   &c.shelf,
		key:     shelfKey(at, e.TLS),
		trust:   config,
		leave:   func() {},

		registries: map[string]registry{},
	}
	if b.links == nil {
		b.links = map[string]string{}
	}
	b.manners = mannersOf(b.links[factVendor], b.links[factModel], b.links[factFirmware])
	return b, nil
}

// pickUp takes a wire, and is the last thing before a conversation begins.
func (b *conversation) pickUp(user, password string, fence core.Fence) (err error) {
	if b.wire = b.shelf.take(b.key); b.wire == nil {
		b.wire = newWire(b.trust, b.options.Request, newLatest())
	}
	if b.api, err = newClient(b, user, password, fence); err != nil {
		b.wire.close()
		return invalid(opConnect, fmt.Errorf("BMC %s: %w", b.at.base, err), "")
	}
	return nil
}

// newClient stacks gofish on go-retryablehttp on the gate.
func newClient(b *conversation, user, password string, fence core.Fence) (*gofish.APIClient, error) {
	retry := &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport:     &gate{next: b.wire, at: b.at, fence: fence, latest: b.wire.latest},
			Timeout:       b.options.Request,
			CheckRedirect: followReads,
		},
		RetryMax:     3,
		RetryWaitMin: b.options.Retry,
		RetryWaitMax: 8 * b.options.Retry,
		Backoff:      boundedBackoff,
		CheckRetry: func(ctx context.Context, resp *http.Response, err error) (bool, error) {
			resend := again(ctx, resp, err, b.manners.Busy)
			if resend {
				core.AskedAgain(ctx, refusal(ctx, resp, err, b.scrub))
			}
			return resend, nil
		},
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	// gofish begins with a GET of the service root. A conversation whose links are
	// known has no use for it, so gofish gets an empty one and then the real wire.
	api, err := gofish.ConnectContext(context.Background(), gofish.ClientConfig{
		Endpoint:          b.at.base,
		Username:          user,
		Password:          password,
		BasicAuth:         true, // a session that outlives its process would use up one of few
		ReuseConnections:  true,
		NoModifyTransport: true,
		HTTPClient:        &http.Client{Transport: emptyRoot{}},
	})
	if err != nil {
		return nil, err
	}
	api.HTTPClient = &http.Client{
		Transport:     carryMethod{&retryablehttp.RoundTripper{Client: retry}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return api, nil
}

// Fingerprint makes a TLS handshake and no request. The certificate is not
// checked: the caller decides whether to trust it.
func (c *Connector) Fingerprint(ctx context.Context, url string) (string, error) {
	const op = "read BMC certificate"
	at, err := parseAddress(url)
	if err != nil {
		return "", invalid(op, err, "give its URL as https://host[:port]")
	}
	if at.plain {
		return "", invalid(op, fmt.Errorf("%s has no certificate", at.base), "use https")
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Request)
	defer cancel()
	dialer := tls.Dialer{NetDialer: &net.Dialer{}, Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}} //nolint:gosec // to learn it
	conn, err := dialer.DialContext(ctx, "tcp", at.key)
	if err != nil {
		return "", explain(ctx, op, at, scrubber("", ""), err)
	}
	defer conn.Close()
	return fingerprint(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw), nil
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func invalid(op string, err error, hint string) error {
	return &core.Error{Op: op, Kind: core.Invalid, Err: err, Hint: hint}
}
