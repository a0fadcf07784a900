package server_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/client"
	"github.com/metalpool/metalpool/core/api/server"
)

// vast is a pool whose answers no connection holds.
type vast struct{ *core.Engine }

func (vast) Images(context.Context) ([]core.Image, error) {
	return []core.Image{{Name: strings.Repeat("x", 64<<20)}}, nil
}

// Who asks and does not take the answer holds nothing of the server for ever.
func TestAnswersAreTakenOrGivenUp(t *testing.T) {
	r := newRig(t, 0)
	e, _ := r.engine()
	log := &lockedBuffer{}
	s := &running{t: t, engine: e, log: log}
	s.Server = server.New(server.Config{Pool: vast{e}, AnswerTime: time.Second, Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	config, fingerprint, err := server.OwnCertificate(t.Context(), e, "", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l, config) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	check, err := client.Pinned(fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := (&tls.Dialer{Config: check}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1/images HTTP/1.1\r\nHost: pool\r\nAuthorization: Bearer %s\r\n\r\n", r.operator())
	s.until("the server gives up", func() bool { return strings.Contains(log.String(), `"operation":"GET /v1/images"`) })
}
