package deploy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// caller checks in by hand, as an agent would, or would not.
type caller struct {
	certificate tls.Certificate
	serverName  string
	engine      string // fingerprint expected
	url         string
	body        []byte
}

func newCaller(t *testing.T, s started) caller {
	t.Helper()
	der, key, err := wire.NewCertificate("agent")
	if err != nil {
		t.Fatal(err)
	}
	own, err := wire.KeyPair(der, key)
	if err != nil {
		t.Fatal(err)
	}
	return caller{own, wire.ServerName(s.boot.ID), s.params.Engine, s.params.CheckIn[0], encode(t, good(s))}
}

func good(s started) wire.CheckIn {
	return wire.CheckIn{
		Version: wire.ParamsVersion, Boot: s.boot.ID, Node: "n1", Token: s.secret.Token, Port: 7,
		Identity: core.Identity{UUID: "u1"},
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (c caller) call(t *testing.T) (status int, body string, err error) {
	t.Helper()
	config := wire.PinnedClient(c.certificate, c.serverName, c.engine)
	if c.certificate.Certificate == nil {
		config.Certificates = nil
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+wire.CheckInPath, bytes.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

func TestTheSameAgentMayCheckInTwice(t *testing.T) {
	d, refusals := newDeployer(t)
	s := offer(t, d, silence)
	c := newCaller(t, s)
	var answers [2]string
	for n := range answers {
		status, body, err := c.call(t)
		if err != nil || status != http.StatusOK {
			t.Fatalf("call %d: %d %s %v", n, status, body, err)
		}
		answers[n] = body
		c.body = encode(t, func() wire.CheckIn { again := good(s); again.Port = 8; return again }())
	}
	if answers[0] != answers[1] {
		t.Errorf("answered %s, then %s", answers[0], answers[1])
	}
	for range 2 {
		got, err := d.AwaitCheckIn(t.Context(), s.boot.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.Address != "127.0.0.1:7" || got.Peer != "127.0.0.1" || got.Identity.UUID != "u1" || !bytes.Equal(got.Certificate, c.certificate.Certificate[0]) {
			t.Errorf("the endpoint is %+v", got)
		}
	}
	d.Withdraw(s.boot.ID)
	if _, err := d.AwaitCheckIn(t.Context(), s.boot.ID); err != nil {
		t.Errorf("after the media was withdrawn, the agent is not known: %v", err)
	}
	if status, _, err := c.call(t); err != nil || status != http.StatusOK {
		t.Errorf("a late repeat is answered %d: %v", status, err)
	}
	if len(refusals) != 0 {
		t.Errorf("refused: %s", <-refusals)
	}
}

func TestAnAgentMayNameItsAddress(t *testing.T) {
	d, _ := newDeployer(t)
	s := offer(t, d, silence)
	c := newCaller(t, s)
	named := good(s)
	named.Address = "192.0.2.7:4433"
	c.body = encode(t, named)
	if status, body, err := c.call(t); err != nil || status != http.StatusOK {
		t.Fatal(status, body, err)
	}
	if got, err := d.AwaitCheckIn(t.Context(), s.boot.ID); err != nil || got.Address != named.Address {
		t.Errorf("it is %q: %v", got.Address, err)
	}
}

func TestCheckInsThatAreRefused(t *testing.T) {
	var now time.Time
	var older started
	for _, test := range []struct {
		name   string
		before func(t *testing.T, d *deploy.Deployer, s started)
		spoil  func(c *caller, in *wire.CheckIn)
		status int // 0: the handshake fails
		why    string
	}{
		{name: "a wrong token", spoil: func(_ *caller, in *wire.CheckIn) { in.Token += "x" }, status: 401, why: "token"},
		{name: "an older boot's token", before: func(t *testing.T, d *deploy.Deployer, _ started) { older = offer(t, d, silence) }, spoil: func(_ *caller, in *wire.CheckIn) { in.Token = older.secret.Token }, status: 401, why: "token"},
		{name: "another node", spoil: func(_ *caller, in *wire.CheckIn) { in.Node = "n2" }, status: 403, why: "node n2"},
		{name: "another boot", spoil: func(_ *caller, in *wire.CheckIn) { in.Boot = "b2" }, status: 403, why: "boot b2"},
		{name: "another version", spoil: func(_ *caller, in *wire.CheckIn) { in.Version = 99 }, status: 400, why: "version 99"},
		{name: "no port", spoil: func(_ *caller, in *wire.CheckIn) { in.Port = 0 }, status: 400, why: "not a port"},
		{name: "garbage", spoil: func(c *caller, _ *wire.CheckIn) { c.body = []byte("{") }, status: 400, why: "unreadable"},
		{name: "without end", spoil: func(c *caller, _ *wire.CheckIn) {
			// Just more than is read: of much more the server would not take the rest, and the
			// cut may overtake the answer.
			c.body = append([]byte(`{"token":"`), bytes.Repeat([]byte("x"), 64<<10)...)
		}, status: 400, why: "unreadable"},
		{name: "a second agent", before: func(t *testing.T, _ *deploy.Deployer, s started) {
			if status, _, err := newCaller(t, s).call(t); err != nil || status != 200 {
				t.Fatal(status, err)
			}
		}, status: 409, why: "another agent has checked in with this token, from 127.0.0.1"},
		{name: "withdrawn", before: func(_ *testing.T, d *deploy.Deployer, s started) { d.Withdraw(s.boot.ID) }, status: 410, why: "has ended"},
		{name: "expired", before: func(*testing.T, *deploy.Deployer, started) { now = now.Add(2 * time.Hour) }, status: 410, why: "has ended"},
		{name: "an unknown boot", spoil: func(c *caller, _ *wire.CheckIn) { c.serverName = wire.ServerName("b2") }, why: "no boot of that ID"},
		{name: "no boot at all", spoil: func(c *caller, _ *wire.CheckIn) { c.serverName = "localhost" }},
		{name: "no certificate", spoil: func(c *caller, _ *wire.CheckIn) { c.certificate = tls.Certificate{} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			now = time.Now()
			d, refusals := newDeployer(t, func(c *deploy.Config) { c.Now = func() time.Time { return now } })
			s := offer(t, d, silence)
			if test.before != nil {
				test.before(t, d, s)
			}
			c, in := newCaller(t, s), good(s)
			c.body = nil
			if test.spoil != nil {
				test.spoil(&c, &in)
			}
			if c.body == nil {
				c.body = encode(t, in)
			}
			for range 3 { // an agent may try again and again
				status, body, err := c.call(t)
				if status != test.status || (err != nil) != (test.status == 0) {
					t.Fatalf("answered %d %s %v, want %d", status, body, err, test.status)
				}
				var said wire.Error
				if test.status != 0 && (json.Unmarshal([]byte(body), &said) != nil || !strings.Contains(said.Text, test.why)) {
					t.Errorf("it is told %s, want %q", body, test.why)
				}
				if strings.Contains(body, s.secret.Token) {
					t.Errorf("the answer shows the token: %s", body)
				}
			}
			want := 1
			if test.why == "" {
				want = 0
			}
			if len(refusals) != want {
				t.Fatalf("%d refusals were told, want %d", len(refusals), want)
			}
			if want == 1 {
				if why := <-refusals; !strings.Contains(why, test.why) || strings.Contains(why, s.secret.Token) {
					t.Errorf("the refusal says %q, want %q", why, test.why)
				}
			}
		})
	}
}

func TestAnAgentThatNeverCalls(t *testing.T) {
	d, _ := newDeployer(t)
	s := offer(t, d, silence)
	bad := newCaller(t, s)
	bad.body = encode(t, wire.CheckIn{Version: wire.ParamsVersion, Boot: s.boot.ID, Node: "n1", Token: "guess", Port: 1})
	if status, _, err := bad.call(t); err != nil || status != http.StatusUnauthorized {
		t.Fatal(status, err)
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	_, err := d.AwaitCheckIn(ctx, s.boot.ID)
	wants(t, err, core.Timeout, "none was admitted, and 1 were refused", "console")

	_, err = d.AwaitCheckIn(t.Context(), "b2")
	wants(t, err, core.NotFound, "not offered")
	d.Withdraw("b2")
	d.Withdraw(s.boot.ID)
	d.Withdraw(s.boot.ID)
	_, err = d.AwaitCheckIn(t.Context(), s.boot.ID)
	wants(t, err, core.Busy, "withdrawn")
}

func TestMediaGoesWithItsAttempt(t *testing.T) {
	now := time.Now()
	d, _ := newDeployer(t, func(c *deploy.Config) { c.Now = func() time.Time { return now } })
	first, second := offer(t, d, silence), offer(t, d, silence)
	if first.media == second.media {
		t.Fatalf("two boots have the same media at %s", first.media)
	}
	d.Withdraw(first.boot.ID)
	if status, _ := get(t, first.media); status != http.StatusGone {
		t.Errorf("withdrawn media is answered %d", status)
	}
	if status, _ := get(t, second.media); status != http.StatusOK {
		t.Errorf("other media is answered %d", status)
	}
	if status, _ := get(t, strings.TrimSuffix(second.media, ".iso")); status != http.StatusNotFound {
		t.Errorf("beside the media, %d is answered", status)
	}
	now = now.Add(time.Hour)
	if status, _ := get(t, second.media); status != http.StatusGone {
		t.Errorf("expired media is answered %d", status)
	}
	_, err := d.Offer(t.Context(), second.boot, second.secret, core.BootParams{Node: "n1", BMCHost: "127.0.0.1", Silence: silence})
	wants(t, err, core.Invalid, "expired")
	now = now.Add(-time.Hour)
	_, err = d.Offer(t.Context(), second.boot, second.secret, core.BootParams{Node: "n1", BMCHost: "127.0.0.1", Silence: silence})
	wants(t, err, core.Internal, "offered before")
}

func TestMediaIsServedInRanges(t *testing.T) {
	d, _ := newDeployer(t)
	s := offer(t, d, silence)
	_, whole := get(t, s.media)
	at := bytes.Index(whole, []byte(wire.AreaMagic))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.media, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Range", "bytes="+itoa(at)+"-"+itoa(at+wire.AreaSize-1))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	area, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusPartialContent {
		t.Fatalf("a range is answered %s: %v", answer.Status, err)
	}
	if p, err := wire.DecodeParams(area); err != nil || p.Boot != s.boot.ID {
		t.Errorf("the range holds %+v: %v", p, err)
	}
}

func TestAddresses(t *testing.T) {
	for _, test := range []struct{ global, node, want string }{
		{"", "", "127.0.0.1"},
		{"pool.example", "", "pool.example"},
		{"pool.example", "10.0.2.2", "10.0.2.2"},
		{"", "fd00::1", "[fd00::1]"},
	} {
		d, _ := newDeployer(t, func(c *deploy.Config) { c.Advertise = test.global })
		b, s, err := d.NewBoot(time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		url, err := d.Offer(t.Context(), b, s, core.BootParams{Node: "n1", BMCHost: "127.0.0.1", Advertise: test.node, Silence: silence})
		if err != nil || !strings.HasPrefix(url, "http://"+test.want+":") || !strings.HasSuffix(url, ".iso") {
			t.Errorf("advertised as %q, for the node %q, the media is at %s: %v", test.global, test.node, url, err)
		}
	}
	d, _ := newDeployer(t)
	b, s, err := d.NewBoot(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Offer(t.Context(), b, s, core.BootParams{Node: "n1", Silence: silence})
	wants(t, err, core.Transient, "METALPOOL_ADVERTISE")
}

func TestPorts(t *testing.T) {
	for _, bad := range []string{"x", "0-7", "7-6", "1-65536", "-1", "1-"} {
		_, err := deploy.New(deploy.Config{Ports: bad})
		wants(t, err, core.Invalid, bad, "30000-30100")
	}
	// A range of one port, which the first deployer takes.
	first, _ := newDeployer(t)
	port := portOf(t, offer(t, first, silence).media)
	second, _ := newDeployer(t, func(c *deploy.Config) { c.Ports = port + "-" + port })
	b, s, err := second.NewBoot(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	_, err = second.Offer(t.Context(), b, s, core.BootParams{Node: "n1", BMCHost: "127.0.0.1", Silence: silence})
	wants(t, err, core.Transient, port, "METALPOOL_PORTS")
}

func TestTwoAgentsWithOneToken(t *testing.T) {
	d, refusals := newDeployer(t)
	first, second := newMachine(t, filedisk.Faults{}, mib), newMachine(t, filedisk.Faults{}, mib)
	fill(t, second.disks[0])
	before := read(t, second.disks[0], 0, mib)
	s, a, _ := checkedIn(t, d, first)

	ended, _ := run(t, s.params, second)
	ends(t, ended, agent.ErrRefused)
	<-second.off
	if why := <-refusals; !strings.Contains(why, "another agent") {
		t.Errorf("the refusal says %q", why)
	}
	if !bytes.Equal(read(t, second.disks[0], 0, mib), before) {
		t.Error("the refused agent touched its disk")
	}
	if _, err := a.Inventory(t.Context()); err != nil {
		t.Errorf("the first agent does not answer any more: %v", err)
	}
}

func TestAnAgentWithoutItsEnginePowersOff(t *testing.T) {
	d, _ := newDeployer(t)
	for name, spoil := range map[string]func(p *wire.Params){
		"nobody listens":     func(p *wire.Params) { p.CheckIn = []string{"https://127.0.0.1:1"} },
		"another engine":     func(p *wire.Params) { p.Engine = wire.Fingerprint([]byte("another")) },
		"nothing is ordered": func(*wire.Params) {},
	} {
		t.Run(name, func(t *testing.T) {
			s := offer(t, d, time.Second)
			spoil(&s.params)
			m := newMachine(t, filedisk.Faults{}, mib)
			fill(t, m.disks[0])
			before := read(t, m.disks[0], 0, mib)
			ended, _ := run(t, s.params, m)
			ends(t, ended, agent.ErrSilence)
			<-m.off
			if !bytes.Equal(read(t, m.disks[0], 0, mib), before) {
				t.Error("it touched its disk")
			}
		})
	}
}

// TestAPowerCutIsNotAPowerOff ends an agent from outside, as the lab does.
func TestAPowerCutIsNotAPowerOff(t *testing.T) {
	d, _ := newDeployer(t)
	m := newMachine(t, filedisk.Faults{}, mib)
	s := offer(t, d, silence)
	ended, cut := run(t, s.params, m)
	if _, err := d.AwaitCheckIn(t.Context(), s.boot.ID); err != nil {
		t.Fatal(err)
	}
	cut()
	ends(t, ended, context.Canceled)
	select {
	case <-m.off:
		t.Error("it powered off what had no power")
	default:
	}
}

// TestTheSecondURLWorks lets an agent find the engine where its BMC could not say.
func TestTheSecondURLWorks(t *testing.T) {
	d, _ := newDeployer(t)
	s := offer(t, d, silence)
	s.params.CheckIn = append([]string{"https://127.0.0.1:1"}, s.params.CheckIn...)
	run(t, s.params, newMachine(t, filedisk.Faults{}, mib))
	if _, err := d.AwaitCheckIn(t.Context(), s.boot.ID); err != nil {
		t.Fatal(err)
	}
}

func TestADeployerThatIsClosed(t *testing.T) {
	d, _ := newDeployer(t)
	s := offer(t, d, silence)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := newCaller(t, s).call(t); err == nil {
		t.Error("check-ins are still taken")
	}
	b, secret, err := d.NewBoot(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Offer(t.Context(), b, secret, core.BootParams{Node: "n1", BMCHost: "127.0.0.1", Silence: silence}); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("after Close, a boot is offered: %v", err)
	}
}
