package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/server"
)

// formerCA writes a CA as a host kept it before pools did.
func formerCA(t *testing.T, path string) (fingerprint string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "metalpool CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// The first server's CA is every server's, wherever they run, and is kept through all that
// becomes of the store.
func TestServersShareACA(t *testing.T) {
	r := newRig(t, 0)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		found = map[string]int{}
	)
	for range 8 {
		e, _ := r.engine()
		wg.Go(func() {
			_, fingerprint, err := server.OwnCertificate(t.Context(), e, filepath.Join(t.TempDir(), "none"), []string{"127.0.0.1"}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			found[fingerprint]++
		})
	}
	wg.Wait()
	if len(found) != 1 {
		t.Errorf("8 servers have the CAs %v", found)
	}
	e, _ := r.engine()
	if broken, err := e.Verify(t.Context()); err != nil || len(broken) > 0 {
		t.Errorf("%v, %v", broken, err)
	}
}

// A CA that clients have pinned already stays the pool's; a host that had another one
// is told.
func TestAFormerCAIsTakenOver(t *testing.T) {
	r := newRig(t, 0)
	one, two := filepath.Join(r.dir, "one.pem"), filepath.Join(r.dir, "two.pem")
	pinned, other := formerCA(t, one), formerCA(t, two)
	for _, host := range []struct {
		file string
		told bool
	}{{one, false}, {two, true}, {filepath.Join(r.dir, "none.pem"), false}} {
		e, _ := r.engine()
		log := &lockedBuffer{}
		_, fingerprint, err := server.OwnCertificate(t.Context(), e, host.file, nil, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil || fingerprint != pinned {
			t.Errorf("%s: the CA is %s, %v; want %s", host.file, fingerprint, err, pinned)
		}
		if text := log.String(); strings.Contains(text, other) != host.told || strings.Contains(text, pinned) != host.told {
			t.Errorf("%s: told %q", host.file, text)
		}
	}
	if err := os.WriteFile(two, []byte("no CA"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, _ := r.engine()
	_, _, err := server.OwnCertificate(t.Context(), e, two, nil, slog.New(slog.DiscardHandler))
	wantKind(t, "a file that is no CA", err, core.Invalid)
}
