package deploy

import (
	"bytes"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// offer is a boot that is waited for, and who was admitted to it.
type offer struct {
	boot        core.Boot
	token       string
	params      core.BootParams
	certificate tls.Certificate
	unmount     func()

	refused   atomic.Int32
	admitted  chan struct{} // closed with the first admission
	withdrawn chan struct{}

	mu    sync.Mutex
	agent *core.AgentEndpoint // the first that was admitted
}

func (o *offer) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended() {
		close(o.withdrawn)
		o.unmount()
	}
}

func (o *offer) ended() bool {
	select {
	case <-o.withdrawn:
		return true
	default:
		return false
	}
}

// refusal is told once: an agent that is refused may try again and again.
type refusal struct{ boot, peer, why string }

// maxTold bounds what is remembered; beyond it refusals are only logged, so that a
// scanner of ports does not fill the store.
const maxTold = 10_000

// refuse tells of a refusal. o is the boot's offer, or nil.
func (d *Deployer) refuse(bootID string, o *offer, peer, why string) {
	var node core.NodeID
	if o != nil {
		o.refused.Add(1)
		node = o.params.Node
	}
	d.cfg.Log.Warn("check-in refused", "boot", bootID, "node", node, "peer", peer, "why", why)
	r := refusal{bootID, peer, why}
	d.mu.Lock()
	tell := !d.told[r] && len(d.told) < maxTold
	if tell {
		d.told[r] = true
	}
	d.mu.Unlock()
	if tell && d.cfg.Refused != nil {
		d.cfg.Refused(bootID, node, peer, why)
	}
}

func (d *Deployer) openCheckIn(ctx context.Context) (port int, err error) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+wire.CheckInPath, d.checkIn)
	server := d.httpServer(mux)
	config := &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: d.certificateOf}
	return d.tls.open(ctx, d.cfg.Bind, d.ports, server, func(inner net.Listener) net.Listener { return tls.NewListener(inner, config) })
}

// certificateOf shows each agent the certificate of its own boot. A boot that was
// withdrawn keeps its until it expires, so that its agent is refused by somebody it
// believes, and powers off.
func (d *Deployer) certificateOf(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	bootID, ours := strings.CutSuffix(hello.ServerName, wire.Domain)
	if !ours {
		return nil, fmt.Errorf("%q is no boot of ours", hello.ServerName)
	}
	o := d.offer(bootID)
	if o == nil {
		d.refuse(bootID, nil, host(hello.Conn.RemoteAddr().String()), "no boot of that ID is waited for")
		return nil, fmt.Errorf("no boot %q is waited for", bootID)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{o.certificate},
		// Any certificate: the token says who it is, and the handshake that the agent
		// holds the key of what it will listen with.
		ClientAuth: tls.RequireAnyClientCert,
	}, nil
}

const maxCheckIn = 64 << 10

func (d *Deployer) checkIn(w http.ResponseWriter, r *http.Request) {
	bootID, _ := strings.CutSuffix(r.TLS.ServerName, wire.Domain)
	peer := host(r.RemoteAddr)
	o := d.offer(bootID)
	refuse := func(status int, kind core.Kind, why string) {
		d.refuse(bootID, o, peer, why)
		writeJSON(w, status, wire.ToWire(&core.Error{Op: "check in", Kind: kind, Err: errors.New(why)}))
	}
	if o == nil { // expired since the handshake
		refuse(http.StatusGone, core.NotFound, "no boot of that ID is waited for")
		return
	}
	var c wire.CheckIn
	if err := json.NewDecoder(io.LimitReader(r.Body, maxCheckIn)).Decode(&c); err != nil {
		refuse(http.StatusBadRequest, core.Invalid, "the check-in is unreadable")
		return
	}
	if err := c.Validate(); err != nil {
		refuse(http.StatusBadRequest, core.Invalid, err.Error())
		return
	}
	if subtle.ConstantTimeCompare([]byte(c.Token), []byte(o.token)) != 1 {
		refuse(http.StatusUnauthorized, core.Denied, "the token is wrong")
		return
	}
	if c.Boot != bootID || c.Node != o.params.Node {
		refuse(http.StatusForbidden, core.Denied, fmt.Sprintf("it was started for node %s, boot %s", c.Node, c.Boot))
		return
	}
	status, why := o.admit(core.AgentEndpoint{
		Address: agentAddress(c, peer), Certificate: r.TLS.PeerCertificates[0].Raw, Identity: c.Identity, Peer: peer,
	}, !d.cfg.Now().Before(o.boot.Expires))
	if status != http.StatusOK {
		refuse(status, core.Exists, why)
		return
	}
	writeJSON(w, http.StatusOK, wire.CheckInAnswer{Peer: peer})
}

// admit lets the first certificate in, and its repeats: the answer may have been
// lost on its way. What the first one said stays.
func (o *offer) admit(e core.AgentEndpoint, expired bool) (status int, why string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.agent != nil && bytes.Equal(o.agent.Certificate, e.Certificate):
		return http.StatusOK, ""
	case o.agent != nil:
		return http.StatusConflict, "another agent has checked in with this token, from " + o.agent.Peer
	case o.ended(), expired:
		return http.StatusGone, "the attempt has ended"
	}
	o.agent = &e
	close(o.admitted)
	return http.StatusOK, ""
}

// agentAddress is the one that the agent names, since it may know of a forward, or
// where its call came from.
func agentAddress(c wire.CheckIn, peer string) string {
	if c.Address != "" {
		return c.Address
	}
	return net.JoinHostPort(peer, strconv.Itoa(c.Port))
}

// AwaitCheckIn returns the first check-in that the token admits, however often it
// is asked.
func (d *Deployer) AwaitCheckIn(ctx context.Context, bootID string) (core.AgentEndpoint, error) {
	fail := func(kind core.Kind, err error, hint string) (core.AgentEndpoint, error) {
		return core.AgentEndpoint{}, &core.Error{Op: "await the agent", Kind: kind, Err: err, Hint: hint}
	}
	o := d.offer(bootID)
	if o == nil {
		return fail(core.NotFound, errors.New("its boot is not offered by this process"), "")
	}
	select {
	case <-o.admitted:
		return o.endpoint(), nil
	default:
	}
	select {
	case <-o.admitted:
		return o.endpoint(), nil
	case <-o.withdrawn:
		return fail(core.Busy, errors.New("its boot was withdrawn"), "")
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.Canceled) {
			return core.AgentEndpoint{}, context.Cause(ctx)
		}
		return fail(core.Timeout, fmt.Errorf("none was admitted, and %d were refused", o.refused.Load()),
			"look at the server's console: does it boot from virtual media, and does it reach this process (METALPOOL_ADVERTISE)?")
	}
}

// endpoint may be called once admitted is closed.
func (o *offer) endpoint() core.AgentEndpoint {
	o.mu.Lock()
	defer o.mu.Unlock()
	return *o.agent
}
