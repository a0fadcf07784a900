package redfish_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
)

// TestWiresAreKept: conversations one after the other take one handshake, unless the
// BMC is to be trusted for another reason, or was left alone in between.
func TestWiresAreKept(t *testing.T) {
	r := newRig(t, nil)
	r.enrolled().Close()
	options := quick
	ask := func(e core.Endpoint) {
		t.Helper()
		b, err := r.connector.Connect(t.Context(), e, password, nil)
		must(t, "connect", err)
		defer b.Close()
		_, err = b.Power(t.Context())
		must(t, "power", err)
	}
	connections := func(want int) {
		t.Helper()
		if got := r.bmc.Traffic().Connections; got != want {
			t.Errorf("%d connections were made, want %d", got, want)
		}
		r.bmc.ResetTraffic()
	}
	options.Keep = time.Hour
	r.connector = redfish.New(options)
	for range 3 {
		ask(r.endpoint)
	}
	connections(1)

	insecure := r.endpoint
	insecure.TLS = core.TLSCheck{Insecure: true}
	ask(insecure)
	ask(r.endpoint)
	connections(1)

	open := r.bmc.Traffic().Open
	options.Keep = time.Millisecond
	r.connector = redfish.New(options)
	ask(r.endpoint)
	eventually(t, func() (bool, string) {
		n := r.bmc.Traffic().Open
		return n <= open, fmt.Sprintf("%d connections are open, %d before", n, open)
	})
	ask(r.endpoint)
	connections(2)
}

// TestWireOfAnotherPassword: what the one before was allowed on a connection, the next
// one on it is not.
func TestWireOfAnotherPassword(t *testing.T) {
	r := newRig(t, nil)
	b := r.enrolled()
	_, err := b.Power(t.Context())
	must(t, "power", err)
	b.Close()
	b, err = r.connector.Connect(t.Context(), r.endpoint, "another", nil)
	must(t, "connect", err)
	defer b.Close()
	_, err = b.Power(t.Context())
	wantKind(t, err, core.Denied)
	if n := r.bmc.Traffic().Connections; n != 1 {
		t.Errorf("%d connections were made, want one: this test is about one that was kept", n)
	}
}
