package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"time"
)

// ErrOtherCertificate is what a handshake fails with when the other end shows a
// certificate that is not the pinned one.
var ErrOtherCertificate = errors.New("the other end shows another certificate than the one expected")

// NewCertificate makes a P-256 key in PKCS#8 and its self-signed certificate in DER.
// Whoever gets it pins it: no authority signs it, and its dates say nothing, since
// the clock of a machine in its ramdisk may be anything.
func NewCertificate(name string) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280: no end
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if certificate, err = x509.CreateCertificate(rand.Reader, template, template, private.Public(), private); err != nil {
		return nil, nil, err
	}
	if key, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
		return nil, nil, err
	}
	return certificate, key, nil
}

// KeyPair joins what NewCertificate made.
func KeyPair(certificate, key []byte) (tls.Certificate, error) {
	private, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(certificate)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: private, Leaf: leaf}, nil
}

// PinnedClient talks only to who shows the certificate of that fingerprint.
func PinnedClient(own tls.Certificate, serverName, fingerprint string) *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{own},
		ServerName:   serverName,
		// No name and no authority is checked, but the certificate itself, below.
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection pins
		VerifyConnection:   pin(fingerprint),
	}
}

// PinnedServer listens only to who shows the certificate of that fingerprint.
func PinnedServer(own tls.Certificate, fingerprint string) *tls.Config {
	return &tls.Config{
		MinVersion:       tls.VersionTLS13,
		Certificates:     []tls.Certificate{own},
		ClientAuth:       tls.RequireAnyClientCert,
		VerifyConnection: pin(fingerprint),
	}
}

func pin(fingerprint string) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) > 0 {
			shown := Fingerprint(state.PeerCertificates[0].Raw)
			if subtle.ConstantTimeCompare([]byte(shown), []byte(fingerprint)) == 1 {
				return nil
			}
		}
		return ErrOtherCertificate
	}
}
