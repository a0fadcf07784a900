package deploy

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// NewBoot makes the keys and the token of one ramdisk boot, which is admitted and
// served its media for ttl.
func (d *Deployer) NewBoot(ttl time.Duration) (core.Boot, core.BootSecret, error) {
	id := randomID()
	certificate, key, err := wire.NewCertificate(wire.ServerName(id))
	if err != nil {
		return core.Boot{}, core.BootSecret{}, &core.Error{Op: "make a boot's certificate", Kind: core.Internal, Err: err}
	}
	var token [32]byte
	_, _ = rand.Read(token[:]) // never fails
	return core.Boot{ID: id, Certificate: certificate, Expires: d.cfg.Now().Add(ttl)},
		core.BootSecret{Key: key, Token: base64.RawURLEncoding.EncodeToString(token[:])},
		nil
}

// Offer serves the boot's media and takes its check-in until Withdraw. A boot is
// offered once.
func (d *Deployer) Offer(ctx context.Context, b core.Boot, s core.BootSecret, p core.BootParams) (string, error) {
	fail := func(kind core.Kind, err error) (string, error) {
		return "", &core.Error{Op: "offer boot media", Node: p.Node, Kind: kind, Err: err}
	}
	certificate, err := wire.KeyPair(b.Certificate, s.Key)
	if err != nil {
		return fail(core.Internal, errors.New("the boot's certificate and key are unreadable"))
	}
	if !d.cfg.Now().Before(b.Expires) {
		return fail(core.Invalid, errors.New("the boot has expired; make a new one"))
	}
	host, err := ownAddress(ctx, p.BMCHost, p.Advertise, d.cfg.Advertise)
	if err != nil {
		return "", err
	}
	checkInPort, err := d.openCheckIn(ctx)
	if err != nil {
		return "", err
	}
	params := wire.Params{
		Version: wire.ParamsVersion, Boot: b.ID, Node: p.Node, Token: s.Token,
		Engine: wire.Fingerprint(b.Certificate), Generation: p.Generation, Silence: p.Silence,
		Address: p.Agent.Address, Network: p.Network,
	}
	fixed := cmp.Or(p.Agent.Advertise, p.Advertise, d.cfg.Advertise)
	for _, h := range checkInAddresses(cmp.Or(p.Agent.Advertise, host), fixed != "") {
		params.CheckIn = append(params.CheckIn, "https://"+net.JoinHostPort(h, strconv.Itoa(checkInPort)))
	}
	area, err := wire.EncodeParams(params)
	if err != nil {
		return "", err
	}
	media, err := d.bootMedia(p, area)
	if err != nil {
		return "", err
	}

	port, path, unmount, err := d.serve(ctx, serveMedia(media), b.Expires)
	if err != nil {
		return "", err
	}
	if !d.addOffer(&offer{
		boot: b, token: s.Token, params: p, certificate: certificate, unmount: unmount,
		admitted: make(chan struct{}), withdrawn: make(chan struct{}),
	}) {
		unmount()
		return fail(core.Internal, errors.New("the boot was offered before; make a new one"))
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(port)) + path + mediaName, nil
}

// addOffer reports whether the boot is new, and drops what nobody can check in to
// any more.
func (d *Deployer) addOffer(o *offer) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, old := range d.offers {
		if old.ended() && !d.cfg.Now().Before(old.boot.Expires) {
			delete(d.offers, id)
		}
	}
	if _, twice := d.offers[o.boot.ID]; twice {
		return false
	}
	d.offers[o.boot.ID] = o
	return true
}

// Withdraw ends an offer: the media is gone, and whoever checks in is told so. The
// agent that was admitted is not touched.
func (d *Deployer) Withdraw(bootID string) {
	if o := d.offer(bootID); o != nil {
		o.end()
	}
}

func (d *Deployer) offer(bootID string) *offer {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.offers[bootID]
}

// mediaName ends the media's URL: some BMCs look at the suffix.
const mediaName = "/boot.iso"

func serveMedia(media http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != mediaName {
			http.NotFound(w, r)
			return
		}
		media.ServeHTTP(w, r)
	})
}
