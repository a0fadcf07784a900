package redfish

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// A host that is suspended between the fence's word and the write sends nothing when
// it wakes up, on a new connection as on an old one.
func TestNothingIsWrittenAfterASuspend(t *testing.T) {
	for _, warm := range []bool{false, true} {
		var writes atomic.Int32
		bmc := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet {
				writes.Add(1)
			}
		}))
		defer bmc.Close()
		at, err := parseAddress(bmc.URL)
		if err != nil {
			t.Fatal(err)
		}
		clock := newLatest()
		wall := clock.wall
		wire := newWire(bmc.Client().Transport.(*http.Transport).TLSClientConfig, time.Minute, clock)
		defer wire.CloseIdleConnections()
		suspended := false
		client := &http.Client{Transport: &gate{next: wire, at: at, latest: clock, fence: func(context.Context) (time.Time, error) {
			if suspended {
				clock.wall = func() time.Time { return wall().Add(time.Hour) }
			}
			return time.Now().Add(10 * time.Second), nil
		}}}
		send := func(method string) error {
			r, err := http.NewRequestWithContext(t.Context(), method, bmc.URL, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(r)
			if err == nil {
				err = resp.Body.Close()
			}
			return err
		}
		if warm {
			if err := send(http.MethodPost); err != nil {
				t.Fatal(err)
			}
		}
		before := writes.Load()
		suspended = true
		var held *fencedError
		if err := send(http.MethodPost); !errors.As(err, &held) || !core.Is(held.err, core.Transient) {
			t.Errorf("warm %t: %v", warm, err)
		}
		if n := writes.Load() - before; n != 0 {
			t.Errorf("warm %t: %d writes were sent", warm, n)
		}
		if err := send(http.MethodGet); err != nil {
			t.Errorf("warm %t: a read: %v", warm, err)
		}
	}
}
