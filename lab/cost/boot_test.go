//go:build bench

package cost

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/core/deploy/bootmedia"
	"github.com/metalpool/metalpool/core/rackfile"
	"github.com/metalpool/metalpool/internal/bench"
)

// TestBenchBoot counts what a BMC is asked for to start its server from our media, as
// a deploy does it: in one conversation, with the links known from enrolment.
func TestBenchBoot(t *testing.T) {
	l := startLab(t, everyVendor()...)
	media := serveMedia(t)
	connector := redfish.New(redfish.Options{})
	known := make([]core.Endpoint, len(l.rack.Nodes))
	var walks, boots errgroup.Group
	for i, n := range l.rack.Nodes {
		walks.Go(func() (err error) {
			known[i], err = learnLinks(t.Context(), connector, n.BMC)
			return err
		})
	}
	try(t, walks.Wait(), l.client.ResetTraffic(t.Context()))
	for i, n := range l.rack.Nodes {
		boots.Go(func() error { return bootMedia(t.Context(), connector, known[i], n.BMC.Password, media) })
	}
	try(t, boots.Wait())
	status, err := l.client.Status(t.Context())
	try(t, err)
	requests, connections, counted := 0, 0, 0
	out := newTable("Insert, boot once, turn on and read back, by the BMC's manners", "VENDOR", "REQUESTS", "TLS CONNECTIONS", "OF WHICH", "WHY MORE")
	for _, s := range status {
		connections = max(connections, s.Traffic.Connections)
		if askMore[s.Vendor] == "" {
			counted, requests = counted+1, max(requests, s.Traffic.Requests)
		}
		out.row(s.Vendor, s.Traffic.Requests, s.Traffic.Connections, verbs(s.Traffic.Verbs), askMore[s.Vendor])
	}
	out.show(t)
	against := fmt.Sprintf("the worst of %d vendors' BMCs", counted)
	bench.Record(t, bench.Result{Name: "insert, boot once, on, read back: requests", Value: float64(requests), Op: "<=", Bound: 8, Against: against})
	against = fmt.Sprintf("the worst of %d vendors' BMCs", len(status))
	bench.Record(t, bench.Result{Name: "insert, boot once, on, read back: TLS connections", Value: float64(connections), Op: "<=", Bound: 1, Against: against})
}

// askMore are the vendors whose BMCs make a client ask for more than the bound.
var askMore = map[string]string{
	"idrac10": "boot settings are a job, to be waited for",
	"cisco":   "its first slot takes no image, and the next is to be found",
}

// learnLinks does what enrolment does once.
func learnLinks(ctx context.Context, c *redfish.Connector, b rackfile.BMC) (core.Endpoint, error) {
	e := core.Endpoint{Backend: "redfish", URL: b.URL, User: b.User, TLS: core.TLSCheck{Fingerprint: b.Fingerprint}}
	conversation, err := c.Connect(ctx, e, b.Password, nil)
	if err != nil {
		return e, err
	}
	defer conversation.Close()
	_, err = conversation.Inspect(ctx)
	e.Links = conversation.Links()
	return e, err
}

func bootMedia(ctx context.Context, c *redfish.Connector, e core.Endpoint, password, media string) error {
	b, err := c.Connect(ctx, e, password, nil)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := b.InsertMedia(ctx, media); err != nil {
		return err
	}
	if err := b.BootMediaOnce(ctx); err != nil {
		return err
	}
	return b.SetPower(ctx, core.TurnOn)
}

// serveMedia serves boot media that no engine waits for.
func serveMedia(t *testing.T) (url string) {
	t.Helper()
	var iso bytes.Buffer
	try(t, bootmedia.Write(&iso, bootmedia.Contents{}))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "boot.iso", time.Time{}, bytes.NewReader(iso.Bytes()))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/boot.iso"
}
