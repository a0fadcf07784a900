//go:build vm

package vmtest_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"
)

// awaitSilence waits until nothing comes back from the ramdisk's agent.
func (r *rack) awaitSilence() {
	for r.t.Context().Err() == nil {
		if err := r.greetAgent(); errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
			return
		}
	}
}

// greetAgent begins to speak TLS with the agent, which answers, if only to refuse.
func (r *rack) greetAgent() error {
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", r.lab.Rack().Nodes[0].Agent.Address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) //nolint:gosec // who answers does not matter
}
