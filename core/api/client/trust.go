package client

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// A server without certificates of its own makes a CA at its first start, which signs
// nothing but the servers of that pool. A client pins that CA's certificate by its
// SHA-256, as one does with SSH. The name is not checked besides: whoever that CA has
// signed for is a server of the pool, by whatever name or forwarded port it is reached.

// pinError is a server that has not the CA that was pinned.
type pinError struct{ want, got string }

func (p *pinError) Error() string {
	if p.got == "" {
		return "the server shows no CA of its own; " + p.want + " was pinned"
	}
	return fmt.Sprintf("the server's CA is %s; %s was pinned", p.got, p.want)
}

// Pinned is the check of a server's certificate by its CA's fingerprint.
func Pinned(fingerprint string) (*tls.Config, error) {
	want := strings.ToLower(strings.ReplaceAll(fingerprint, ":", ""))
	if b, err := hex.DecodeString(want); err != nil || len(b) != sha256.Size {
		return nil, &core.Error{Op: "open pool", Kind: core.Invalid, Err: errors.New("the fingerprint is not a SHA-256 in hexadecimal digits"), Hint: "'metalpool serve' prints it at its start"}
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, //nolint:gosec // verified below, by another rule
		VerifyConnection:   func(s tls.ConnectionState) error { return verify(s.PeerCertificates, want) },
	}, nil
}

// verify follows the shown chain to the pinned CA.
func verify(shown []*x509.Certificate, want string) error {
	if len(shown) == 0 {
		return &pinError{want: want}
	}
	ca := shown[len(shown)-1]
	got := Fingerprint(ca)
	if got != want {
		if !ca.IsCA {
			got = ""
		}
		return &pinError{want, got}
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(ca)
	for _, c := range shown[1:] {
		between.AddCert(c)
	}
	_, err := shown[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

// Fingerprint is a certificate's SHA-256, lower-case hexadecimal.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// Shown returns the fingerprint of the CA that a server shows, and nothing was sent to
// it: whether it is the right one is for its user to say. It is empty where the
// certificate is one that browsers trust, too.
func Shown(ctx context.Context, address string) (string, error) {
	base, err := Address(address)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	host := u.Host
	if u.Port() == "" {
		host += ":443"
	}
	dial := func(check *tls.Config) (*tls.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTime)
		defer cancel()
		conn, err := (&tls.Dialer{Config: check}).DialContext(ctx, "tcp", host)
		if err != nil {
			return nil, err
		}
		return conn.(*tls.Conn), nil
	}
	if conn, err := dial(&tls.Config{MinVersion: tls.VersionTLS12}); err == nil {
		return "", conn.Close()
	}
	conn, err := dial(&tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}) //nolint:gosec // only to see what it shows
	if err != nil {
		return "", &core.Error{Op: "reach " + base, Kind: core.Transient, Err: err, Hint: "is 'metalpool serve' running there?"}
	}
	defer conn.Close()
	shown := conn.ConnectionState().PeerCertificates
	return Fingerprint(shown[len(shown)-1]), nil
}
