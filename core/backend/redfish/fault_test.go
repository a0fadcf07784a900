package redfish_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/lab/bmc"
)

// TestOneReset: whatever goes wrong with a reset, it is sent once, and the state
// tells whether it was taken.
func TestOneReset(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault bmc.Fault
		kind  core.Kind // "" where the reset was taken
		sent  string
	}{
		{"500 before its effect", bmc.Fault{Kind: bmc.Fail}, core.Backend, "POST reset 500"},
		{"500 after its effect", bmc.Fault{Kind: bmc.Fail, After: true}, "", "POST reset 500"},
		{"502 before", bmc.Fault{Kind: bmc.Fail, Status: 502}, core.Transient, "POST reset 502"},
		{"503 before", bmc.Fault{Kind: bmc.Fail, Status: 503}, core.Transient, "POST reset 503"},
		{"503 after", bmc.Fault{Kind: bmc.Fail, Status: 503, After: true}, "", "POST reset 503"},
		{"cut before", bmc.Fault{Kind: bmc.Cut}, core.Transient, "POST reset 0"},
		{"cut after", bmc.Fault{Kind: bmc.Cut, After: true}, "", "POST reset 0"},
		{"refused", bmc.Fault{Kind: bmc.Fail, Status: 400}, core.Backend, "POST reset 400"},
		{"unauthorized", bmc.Fault{Kind: bmc.Unauthorized}, core.Denied, "POST reset 401"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			b := r.enrolled()
			c.fault.On, c.fault.Count = bmc.Reset, bmc.Forever
			r.fault(c.fault)
			err := b.SetPower(t.Context(), core.TurnOn)
			if c.kind != "" {
				wantKind(t, err, c.kind)
			} else {
				must(t, "on", err)
			}
			r.wantWrites(c.sent)
			want := "on"
			if c.kind != "" {
				want = ""
			}
			if log := r.machine.log(); log != want {
				t.Errorf("the machine was told %q, want %q", log, want)
			}
		})
	}
}

// TestHungReset: a reset without an answer in time is not sent again.
func TestHungReset(t *testing.T) {
	for _, after := range []bool{false, true} {
		r := newRig(t, nil)
		options := quick
		options.Request = 2 * time.Second // what is read answers within that, on a busy machine too
		r.connector = redfish.New(options)
		b := r.enrolled()
		r.fault(bmc.Fault{On: bmc.Reset, Kind: bmc.Hang, After: after, Count: bmc.Forever})
		err := b.SetPower(t.Context(), core.TurnOn)
		if after {
			must(t, "on, answered late", err)
		} else {
			wantKind(t, err, core.Transient, "no answer")
		}
		if n := r.bmc.Faults().List()[0].Hits; n != 1 {
			t.Errorf("the reset was sent %d times", n)
		}
	}
}

// TestReadsAreRepeated: what can pass is asked again; what cannot is not.
func TestReadsAreRepeated(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault bmc.Fault
		kind  core.Kind
		hits  int
	}{
		{"500 once", bmc.Fault{Kind: bmc.Fail}, "", 1},
		{"429 twice", bmc.Fault{Kind: bmc.Fail, Status: 429, Count: 2}, "", 2},
		{"503 three times", bmc.Fault{Kind: bmc.Fail, Status: 503, Count: 3}, "", 3},
		{"cut once", bmc.Fault{Kind: bmc.Cut}, "", 1},
		{"500 for ever", bmc.Fault{Kind: bmc.Fail, Count: bmc.Forever}, core.Backend, 4},
		{"503 for ever", bmc.Fault{Kind: bmc.Fail, Status: 503, Count: bmc.Forever}, core.Transient, 4},
		{"cut for ever", bmc.Fault{Kind: bmc.Cut, Count: bmc.Forever}, core.Transient, 4},
		{"400", bmc.Fault{Kind: bmc.Fail, Status: 400, Count: bmc.Forever}, core.Backend, 1},
		{"501", bmc.Fault{Kind: bmc.Fail, Status: 501, Count: bmc.Forever}, core.Backend, 1},
		{"401", bmc.Fault{Kind: bmc.Unauthorized, Count: bmc.Forever}, core.Denied, 1},
		{"403", bmc.Fault{Kind: bmc.Fail, Status: 403, Count: bmc.Forever}, core.Denied, 1},
		{"garbage", bmc.Fault{Kind: bmc.Garbage, Count: bmc.Forever}, core.Backend, 1},
		{"a web page", bmc.Fault{Kind: bmc.HTML, Count: bmc.Forever}, core.Backend, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			b := r.enrolled()
			c.fault.On = bmc.PowerRead
			r.fault(c.fault)
			state, err := b.Power(t.Context())
			if c.kind != "" {
				wantKind(t, err, c.kind, "read power", r.endpoint.URL)
			} else if err != nil || state != core.PowerOff {
				t.Errorf("power is %s, %v", state, err)
			}
			if hits := r.bmc.Faults().List()[0].Hits; hits != c.hits {
				t.Errorf("the fault was met %d times, want %d", hits, c.hits)
			}
		})
	}
}

// TestWritesReadBack: verbs believe what they see, not what they are told.
func TestWritesReadBack(t *testing.T) {
	insert := func(ctx context.Context, b core.BMC, r *rig) error { return b.InsertMedia(ctx, r.images[0]) }
	boot := func(ctx context.Context, b core.BMC, _ *rig) error { return b.BootMediaOnce(ctx) }
	tag := func(ctx context.Context, b core.BMC, _ *rig) error { return b.SetTag(ctx, "pool-1") }
	on := func(ctx context.Context, b core.BMC, _ *rig) error { return b.SetPower(ctx, core.TurnOn) }
	for _, c := range []struct {
		name string
		do   func(context.Context, core.BMC, *rig) error
		on   bmc.Verb
		says string
	}{
		{"insert", insert, bmc.Insert, "the slot empty"},
		{"boot", boot, bmc.SetBoot, "boot override None, Disabled"},
		{"tag", tag, bmc.AssetTag, "another tag"},
		{"on", on, bmc.Reset, "power Off"},
	} {
		t.Run(c.name+" is ignored", func(t *testing.T) {
			r := newRig(t, nil)
			options := quick
			options.Settle = 20 * time.Millisecond
			r.connector = redfish.New(options)
			b := r.enrolled()
			r.fault(bmc.Fault{On: c.on, Kind: bmc.Ignore})
			wantKind(t, c.do(t.Context(), b, r), core.Backend, "it took the command", c.says)
			must(t, "once more", c.do(t.Context(), b, r))
		})
		for _, fault := range []bmc.Fault{{Kind: bmc.Fail, After: true}, {Kind: bmc.Cut, After: true}} {
			t.Run(c.name+" works but answers "+string(fault.Kind), func(t *testing.T) {
				r := newRig(t, nil)
				b := r.enrolled()
				fault.On = c.on
				r.fault(fault)
				must(t, c.name, c.do(t.Context(), b, r))
				if n := len(r.writes()); n != 1 {
					t.Errorf("%d requests were sent: %q", n, r.writes())
				}
			})
		}
	}
}

// TestOffIsAlwaysSent: a BMC that shows Off while the server runs cannot be seen
// through, but it is not believed either.
func TestOffIsAlwaysSent(t *testing.T) {
	r := newRig(t, nil, func(_ *bmc.Config, m *machine) { m.state = bmc.On })
	b := r.enrolled()
	r.fault(bmc.Fault{On: bmc.PowerRead, Kind: bmc.Lie, Power: bmc.Off, Count: bmc.Forever})
	must(t, "off", b.SetPower(t.Context(), core.TurnOff))
	if log := r.machine.log(); log != "off" {
		t.Errorf("the machine was told %q, want off", log)
	}
}

// TestShutDownFallsBack: a system that does not listen is turned off.
func TestShutDownFallsBack(t *testing.T) {
	running := func(deaf bool) func(*bmc.Config, *machine) {
		return func(_ *bmc.Config, m *machine) { m.state, m.deaf = bmc.On, deaf }
	}
	abrupt := *must1(t)(bmc.Named("openbmc"))
	abrupt.ResetTypes = []string{"On", "ForceOff"}
	for _, c := range []struct {
		name    string
		manners *bmc.Manners
		deaf    bool
		fault   *bmc.Fault
		want    string
	}{
		{"listens", nil, false, nil, "shutdown"},
		{"does not listen", nil, true, nil, "shutdown off"},
		{"has no such reset", &abrupt, false, nil, "off"},
		{"is refused", nil, false, &bmc.Fault{On: bmc.Reset, Kind: bmc.Fail, Status: 400}, "off"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.manners, running(c.deaf))
			b := r.enrolled()
			if c.fault != nil {
				r.fault(*c.fault)
			}
			must(t, "shut down", b.SetPower(t.Context(), core.ShutDown))
			if log := r.machine.log(); log != c.want {
				t.Errorf("the machine was told %q, want %q", log, c.want)
			}
		})
	}
}

// TestPowerIsWaitedFor: a verb returns when the state is there, not on the way.
func TestPowerIsWaitedFor(t *testing.T) {
	r := newRig(t, nil, func(_ *bmc.Config, m *machine) { m.slow = 5 })
	b := r.enrolled()
	for _, verb := range []core.PowerVerb{core.TurnOn, core.PowerRestart, core.TurnOff} {
		must(t, string(verb), b.SetPower(t.Context(), verb))
	}
	if want := []string{"on", "off", "on", "off"}; r.machine.log() != strings.Join(want, " ") {
		t.Errorf("the machine was told %q, want %q", r.machine.log(), want)
	}
	r.wantWrites(slices.Repeat([]string{"POST reset 204"}, 4)...)
}

// TestDoubtIsWaitedFor: after an answer that says neither yes nor no, what was taken
// may still take a while to show.
func TestDoubtIsWaitedFor(t *testing.T) {
	r := newRig(t, nil, func(_ *bmc.Config, m *machine) { m.slow = 5 })
	options := quick
	options.Doubt = options.Settle
	r.connector = redfish.New(options)
	b := r.enrolled()
	r.fault(bmc.Fault{On: bmc.Reset, Kind: bmc.Fail, After: true})
	must(t, "on", b.SetPower(t.Context(), core.TurnOn))
	r.wantWrites("POST reset 500")
}

// TestAnotherImage: that something is in the slot does not make it the image.
func TestAnotherImage(t *testing.T) {
	r := newRig(t, nil)
	options := quick
	options.Settle = 20 * time.Millisecond
	r.connector = redfish.New(options)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		other := strings.ReplaceAll(string(body), r.images[0], r.images[1])
		req.Body = io.NopCloser(strings.NewReader(other))
		r.bmc.ServeHTTP(w, req)
	}))
	defer s.Close()
	r.endpoint.URL, r.endpoint.TLS = s.URL, core.TLSCheck{Insecure: true}
	wantKind(t, r.enrolled().InsertMedia(t.Context(), r.images[0]), core.Backend, "the slot with c3d4.iso")
}

// TestPowerEndsWithContext: what never comes is waited for until the context ends,
// and the error tells what was seen.
func TestPowerEndsWithContext(t *testing.T) {
	r := newRig(t, nil)
	b := r.enrolled()
	r.fault(bmc.Fault{On: bmc.Reset, Kind: bmc.Ignore, Count: bmc.Forever})
	ctx := &deadline{Context: context.Background(), over: make(chan struct{})}
	looks := 0
	r.machine.mu.Lock()
	r.machine.seen = func() {
		if looks++; looks == 5 { // by then the answers before it have arrived
			close(ctx.over)
		}
	}
	r.machine.mu.Unlock()
	wantKind(t, b.SetPower(ctx, core.TurnOn), core.Timeout, "set power on", "power Off")
}

// deadline is a context whose time is over when the test says so.
type deadline struct {
	context.Context
	over chan struct{}
}

func (d *deadline) Done() <-chan struct{} { return d.over }

func (d *deadline) Err() error {
	select {
	case <-d.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// TestInsertIsRefused: the BMC's own words reach the operator.
func TestInsertIsRefused(t *testing.T) {
	r := newRig(t, nil)
	b := r.enrolled()
	wantKind(t, b.InsertMedia(t.Context(), r.images[0]+".gone"), core.Backend,
		"insert media", "answered 400 Bad Request", "failed to establish a connection", "CouldNotEstablishConnection")
	r.wantWrites("POST insert 400")
}

// TestWalksAgain: a link that is gone is looked for once more, and kept.
func TestWalksAgain(t *testing.T) {
	for _, key := range []string{"system", "reset", "media"} {
		t.Run(key, func(t *testing.T) {
			r := newRig(t, nil)
			r.enrolled().Close()
			right := r.endpoint.Links[key]
			r.endpoint.Links[key] = "/redfish/v1/Systems/renamed" + right
			b := r.connect(nil)
			must(t, "insert", b.InsertMedia(t.Context(), r.images[0]))
			must(t, "on", b.SetPower(t.Context(), core.TurnOn))
			must(t, "off", b.SetPower(t.Context(), core.TurnOff))
			if _, err := b.Power(t.Context()); err != nil {
				t.Error(err)
			}
			if got := b.Links()[key]; got != right {
				t.Errorf("the link %s is %q after a walk, want %q", key, got, right)
			}
		})
	}
	r := newRig(t, nil)
	b := r.enrolled()
	r.fault(bmc.Fault{On: bmc.PowerRead, Kind: bmc.Fail, Status: http.StatusNotFound, Count: bmc.Forever})
	_, err := b.Power(t.Context())
	wantKind(t, err, core.Backend, "404")
}

// must1 is must for functions with a result.
func must1(t *testing.T) func(*bmc.Manners, error) *bmc.Manners {
	return func(m *bmc.Manners, err error) *bmc.Manners {
		t.Helper()
		must(t, "manners", err)
		return m
	}
}
