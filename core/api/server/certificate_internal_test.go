package server

import (
	"crypto"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"
)

// A server that runs for longer than its certificate is good for shows another one in
// time, of the same CA.
func TestACertificateIsRenewed(t *testing.T) {
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	l := &leaves{ca: ca, hosts: []string{"127.0.0.1", "pool.test"}, now: func() time.Time { return now }}
	first, err := l.shown()
	if err != nil {
		t.Fatal(err)
	}
	for day := range 400 {
		now = now.AddDate(0, 0, 1)
		shown, err := l.shown()
		if err != nil {
			t.Fatal(err)
		}
		if left := shown.Leaf.NotAfter.Sub(now); left < (renewDays-1)*24*time.Hour || now.Before(shown.Leaf.NotBefore) {
			t.Fatalf("on day %d it has %s left", day, left)
		}
		if err := shown.Leaf.CheckSignatureFrom(ca.certificate); err != nil {
			t.Fatal(err)
		}
		if err := shown.Leaf.VerifyHostname("pool.test"); err != nil {
			t.Fatal(err)
		}
		if again, err := l.shown(); err != nil || again != shown {
			t.Fatalf("made anew without need: %v", err)
		}
	}
	if last, err := l.shown(); err != nil || last == first {
		t.Errorf("after 400 days it is the first one, %v", err)
	}
}

// brokenKey signs nothing.
type brokenKey struct{ crypto.Signer }

var errBroken = errors.New("broken")

func (brokenKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errBroken }

// A certificate that could not be renewed is shown for as long as it is good.
func TestACertificateThatIsNotRenewedIsShownToItsEnd(t *testing.T) {
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	l := &leaves{ca: ca, hosts: []string{"pool.test"}, now: func() time.Time { return now }, log: slog.New(slog.DiscardHandler)}
	first, err := l.shown()
	if err != nil {
		t.Fatal(err)
	}
	l.ca.key = brokenKey{ca.key}
	now = first.Leaf.NotAfter.Add(-time.Minute)
	if shown, err := l.shown(); err != nil || shown != first {
		t.Errorf("a minute before its end: %v", err)
	}
	now = first.Leaf.NotAfter.Add(time.Minute)
	if _, err := l.shown(); !errors.Is(err, errBroken) {
		t.Errorf("after its end: %v", err)
	}
	l.ca.key = ca.key
	if shown, err := l.shown(); err != nil || shown == first {
		t.Errorf("once it can be renewed: %v", err)
	}
}
