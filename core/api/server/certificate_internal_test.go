package server

import (
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
