package server

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
)

const (
	caYears  = 20
	leafDays = 90
	// renewDays before its end a new one is made: a client's clock may be that much ahead.
	renewDays = 30
	// Clocks differ: a certificate is good a little before it was made.
	clockSlack = time.Hour
)

// Authorities keeps a pool's CAs in its store; the engine does.
type Authorities interface {
	Authority(ctx context.Context, name string, offer func() (certificate, key []byte, err error)) ([]byte, []byte, error)
}

// OwnCertificate is a certificate for hosts, signed by the CA that the pool keeps for its
// servers, and renewed while it is shown. All servers of a pool have that CA, whichever
// came first, so that a client which pins its fingerprint knows them all. former is the
// file that a host kept a CA in before: the pool takes that over where it has none yet.
func OwnCertificate(ctx context.Context, kept Authorities, former string, hosts []string, log *slog.Logger) (config *tls.Config, fingerprint string, err error) {
	there, formerErr := readAuthority(former)
	if formerErr != nil && !errors.Is(formerErr, fs.ErrNotExist) {
		return nil, "", &core.Error{Op: "serve", Kind: core.Invalid, Err: formerErr, Hint: "give a certificate of your own with --tls-cert and --tls-key, or move the file away: then the pool makes another CA, which clients then pin again"}
	}
	certificate, key, err := kept.Authority(ctx, core.Servers, func() ([]byte, []byte, error) {
		if formerErr == nil {
			return there.pair()
		}
		made, err := newAuthority()
		if err != nil {
			return nil, nil, err
		}
		return made.pair()
	})
	if err != nil {
		return nil, "", err
	}
	ca, err := parseAuthority(certificate, key)
	if err != nil {
		return nil, "", &core.Error{Op: "serve", Kind: core.Internal, Err: fmt.Errorf("the pool's CA: %w", err), Hint: "give a certificate of your own with --tls-cert and --tls-key"}
	}
	if formerErr == nil && ca.fingerprint() != there.fingerprint() {
		log.Warn("the pool has another CA than this host had; who has pinned that has to log in again", "file", former, "pinned", there.fingerprint(), "now", ca.fingerprint())
	}
	l := &leaves{ca: ca, hosts: hosts, now: time.Now, log: log}
	if _, err := l.shown(); err != nil {
		return nil, "", err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return l.shown() }}, ca.fingerprint(), nil
}

// leaves are the certificates that a server shows, one after the other.
type leaves struct {
	ca    authority
	hosts []string
	now   func() time.Time
	log   *slog.Logger

	mu   sync.Mutex
	leaf *tls.Certificate
}

// shown is the certificate of now.
func (l *leaves) shown() (*tls.Certificate, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.leaf != nil && now.AddDate(0, 0, renewDays).Before(l.leaf.Leaf.NotAfter) {
		return l.leaf, nil
	}
	made, err := l.ca.sign(l.hosts, now)
	if err == nil {
		l.leaf = made
		return made, nil
	}
	if l.leaf == nil || now.After(l.leaf.Leaf.NotAfter) {
		return nil, err
	}
	l.log.Error("the certificate was not renewed", "ends", l.leaf.Leaf.NotAfter, "error", err)
	return l.leaf, nil
}

// authority is a CA with its key.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func (a authority) fingerprint() string {
	sum := sha256.Sum256(a.certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// pair is the CA as it is kept.
func (a authority) pair() (certificate, key []byte, err error) {
	key, err = x509.MarshalPKCS8PrivateKey(a.key)
	return a.certificate.Raw, key, err
}

// sign makes a certificate for hosts.
func (a authority) sign(hosts []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "metalpool serve"},
		NotBefore: now.Add(-clockSlack), NotAfter: now.AddDate(0, 0, leafDays),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else if host != "" {
			leaf.DNSNames = append(leaf.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	// The CA is shown, too: a client that has only its fingerprint finds it there.
	return &tls.Certificate{Certificate: [][]byte{der, a.certificate.Raw}, PrivateKey: key, Leaf: parsed}, err
}

// readAuthority reads a CA, key and certificate in one file.
func readAuthority(path string) (a authority, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return a, err
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return a, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || pair.Leaf == nil || !pair.Leaf.IsCA {
		return a, fmt.Errorf("%s holds no CA", path)
	}
	return authority{pair.Leaf, key}, nil
}

// parseAuthority reads a CA as it is kept.
func parseAuthority(certificate, key []byte) (a authority, err error) {
	if a.certificate, err = x509.ParseCertificate(certificate); err != nil {
		return a, err
	}
	private, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return a, err
	}
	signer, ok := private.(crypto.Signer)
	if !ok || !a.certificate.IsCA {
		return a, errors.New("it is no CA")
	}
	a.key = signer
	return a, nil
}

func newAuthority() (a authority, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return a, err
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "metalpool CA"},
		NotBefore: now.Add(-clockSlack), NotAfter: now.AddDate(caYears, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		return a, err
	}
	a.certificate, err = x509.ParseCertificate(der)
	a.key = key
	return a, err
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails (crypto/rand)
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}
