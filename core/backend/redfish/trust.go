package redfish

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// tlsConfig checks the certificate in the way recorded: by a CA, by a fingerprint,
// explicitly not at all, or else by the CAs of this host.
func tlsConfig(check core.TLSCheck) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case check.Fingerprint != "":
		want, err := hex.DecodeString(strings.ReplaceAll(check.Fingerprint, ":", ""))
		if err != nil || len(want) != sha256.Size {
			return nil, fmt.Errorf("the recorded fingerprint %q is no SHA-256", shorten(check.Fingerprint, 80))
		}
		// A BMC's certificate is self-signed and often names another host, so its
		// fingerprint stands in for all other checks. VerifyConnection, unlike
		// VerifyPeerCertificate, also runs when a session is resumed.
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(state tls.ConnectionState) error {
			got := sha256.Sum256(state.PeerCertificates[0].Raw)
			if subtle.ConstantTimeCompare(got[:], want) != 1 {
				return &certificateError{want: hex.EncodeToString(want), got: hex.EncodeToString(got[:])}
			}
			return nil
		}
	case check.CA != "":
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(check.CA)) {
			return nil, errors.New("the CA given for it holds no certificate")
		}
	case check.Insecure:
		config.InsecureSkipVerify = true
	}
	return config, nil
}

// certificateError is a certificate that is not the one recorded.
type certificateError struct{ want, got string }

func (e *certificateError) Error() string {
	return fmt.Sprintf("its certificate has changed: its SHA-256 was %s and is %s", e.want, e.got)
}
