package host

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever floods is held up, and what is said after the end is not passed on.
func TestFloodsAreHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var to strings.Builder
		s, began := newSaid(ctx, &to), time.Now()
		for range 10 {
			if _, err := s.Write(make([]byte, sayRate)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 6*time.Second || to.Len() != 10*sayRate {
			t.Errorf("%d bytes in %s", to.Len(), took)
		}
		s.end()
		if _, err := s.Write([]byte("late")); err != nil || to.Len() != 10*sayRate {
			t.Errorf("%d bytes, %v", to.Len(), err)
		}
		cancel()
		if _, err := s.Write(make([]byte, sayRate)); err == nil {
			t.Error("it may speak after its time")
		}
	})
}

func TestWhatAPluginComplainsOf(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "",
		"one\ntwo\n\n":                        "two",
		"panic: boom\n\ngoroutine 1:\nx.go\n": "panic: boom",
		strings.Repeat("x", 99999) + "\nlast": "last",
		strings.Repeat("x", 99999):            "", // nobody knows whether a secret was cut
		"first\n" + strings.Repeat("x", keptComplaint-1) + "\n": strings.Repeat("x", keptComplaint-1),
	} {
		c := complaint{to: newSaid(t.Context(), new(strings.Builder))}
		if _, err := c.Write([]byte(text)); err != nil || c.last() != want || len(c.tail) > keptComplaint {
			t.Errorf("%.20q: %q, %v", text, c.last(), err)
		}
	}
}
