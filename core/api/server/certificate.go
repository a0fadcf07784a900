package server

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"github.com/metalpool/metalpool/core"
)

const (
	caYears   = 20
	leafYears = 2 // a new one is made at each start
	// Clocks differ: a certificate is good a little before it was made.
	clockSlack = time.Hour
)

// OwnCertificate is a certificate for hosts, signed by the CA that is kept in dir, and
// made there at first. fingerprint is the CA's, for clients to pin. Servers of one pool
// share the CA: copy the file.
func OwnCertificate(dir string, hosts []string) (config *tls.Config, fingerprint string, err error) {
	ca, key, err := authority(filepath.Join(dir, "serve-ca.pem"))
	if err != nil {
		return nil, "", &core.Error{Op: "serve", Kind: core.Invalid, Err: err, Hint: "give a certificate of your own with --tls-cert and --tls-key, or remove the file to have a new CA, which clients then pin again"}
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	now := time.Now()
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "metalpool serve"},
		NotBefore: now.Add(-clockSlack), NotAfter: now.AddDate(leafYears, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else if host != "" {
			leaf.DNSNames = append(leaf.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), key)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(ca.Raw)
	// The CA is shown, too: a client that has only its fingerprint finds it there.
	shown := tls.Certificate{Certificate: [][]byte{der, ca.Raw}, PrivateKey: leafKey}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{shown}}, hex.EncodeToString(sum[:]), nil
}

// authority reads the CA, key and certificate in one file, or makes it. Of two servers
// that start at once the first one's counts.
func authority(path string) (*x509.Certificate, crypto.Signer, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		made, makeErr := newAuthority()
		if makeErr != nil {
			return nil, nil, makeErr
		}
		if err := keepFirst(path, made); err != nil {
			return nil, nil, err
		}
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, nil, err
	}
	pair, err := tls.X509KeyPair(text, text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || pair.Leaf == nil || !pair.Leaf.IsCA {
		return nil, nil, fmt.Errorf("%s holds no CA", path)
	}
	return pair.Leaf, key, nil
}

// keepFirst writes a file that is there whole or not at all, unless there is one.
func keepFirst(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	own := fmt.Sprintf("%s.%d", path, os.Getpid())
	defer os.Remove(own)
	if err := renameio.WriteFile(own, text, 0o600, renameio.IgnoreUmask()); err != nil {
		return err
	}
	if err := os.Link(own, path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func newAuthority() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "metalpool CA"},
		NotBefore: now.Add(-clockSlack), NotAfter: now.AddDate(caYears, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...), nil
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b) // never fails (crypto/rand)
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}
