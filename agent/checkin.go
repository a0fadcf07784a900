package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// checkIn tells the engine where we are. It tries until somebody whom we believe
// admits us or refuses us, or silence has lasted too long.
func (a *agent) checkIn(ctx context.Context) error {
	inventory, err := a.host.Inventory(ctx)
	if err != nil {
		a.log.Warn("the inventory is incomplete", "err", err) // the engine compares what there is
	}
	body, err := json.Marshal(wire.CheckIn{
		Version: wire.ParamsVersion, Boot: a.params.Boot, Node: a.params.Node, Token: a.params.Token,
		Port: a.listener.Addr().(*net.TCPAddr).Port, Address: a.address, Identity: inventory.Identity,
	})
	if err != nil {
		return err
	}
	transport := &http.Transport{
		TLSClientConfig:       wire.PinnedClient(a.certificate, wire.ServerName(a.params.Boot), a.params.Engine),
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: 15 * time.Second,
		DisableKeepAlives:     true,
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		for _, url := range a.params.CheckIn {
			err := a.tryCheckIn(ctx, client, url, body)
			if err == nil || errors.Is(err, ErrRefused) {
				return err
			}
			a.log.Info("not checked in yet", "url", url, "err", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.ears.silent:
			return ErrSilence
		}
	}
}

func (a *agent) tryCheckIn(ctx context.Context, client *http.Client, url string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(url, "/")+wire.CheckInPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return err
	}
	switch answer.StatusCode {
	case http.StatusOK:
		var admitted wire.CheckInAnswer
		if err := json.Unmarshal(text, &admitted); err != nil {
			return fmt.Errorf("the answer is unreadable: %w", err)
		}
		a.ears.call()()
		if now, err := http.ParseTime(answer.Header.Get("Date")); err == nil && a.clock != nil {
			a.clock(now)
		}
		a.log.Info("checked in", "url", url, "seen at", admitted.Peer)
		return nil
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict, http.StatusGone:
		why := answer.Status
		var said wire.Error
		if json.Unmarshal(text, &said) == nil && said.Text != "" {
			why = said.Text
		}
		return &core.Error{Op: "check in", Node: a.params.Node, Kind: core.Denied, Err: fmt.Errorf("%w: %s", ErrRefused, why)}
	}
	return fmt.Errorf("%s", answer.Status)
}
