// Package backendtest is what every implementation of core.Connector must do,
// whatever its protocol: verbs converge, say done only for what was read back, and
// send nothing that a fence refuses.
package backendtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// Rig is one server behind a BMC that works, as a test's fixture.
type Rig struct {
	Connector core.Connector
	Endpoint  core.Endpoint // without links
	Password  string
	// Images are URLs of two images that the BMC can fetch.
	Images [2]string

	// What the BMC itself knows, to check verbs by.
	Writes   func() int    // requests so far that were to change something
	Power    func() string // "On", "Off", …
	Inserted func() string // URL of the image that the server would boot; "" is none
	Once     func() bool   // whether the next start, and only that, uses the virtual CD

	// Console is nil where the BMC offers none.
	Console *Console
}

// Console is the serial port of a Rig's server.
type Console struct {
	Key   string            // fingerprint of the host key
	Print func(text string) // returns when who reads the console has it
	// Logins is how often somebody logged in, and was refused.
	Logins func() (in, refused int)
}

// Run checks an implementation. newRig makes a new server, which is off.
func Run(t *testing.T, newRig func(t *testing.T) Rig) {
	for name, test := range map[string]func(*testing.T, Rig){
		"Inspect":          testInspect,
		"Power":            testPower,
		"Media":            testMedia,
		"Boot":             testBoot,
		"Tag":              testTag,
		"LinksAreKept":     testLinks,
		"FenceRefuses":     testFenceRefuses,
		"FenceBoundsCalls": testFenceBounds,
		"FenceBeforeEach":  testFenceBeforeEach,
		"ContextEnds":      testContextEnds,
		"OneJobAtATime":    testTurns,
		"WrongPassword":    testWrongPassword,
		"Close":            testClose,
		"Console":          testConsole,
		"ConsoleIsPinned":  testConsolePinned,
	} {
		t.Run(name, func(t *testing.T) { test(t, newRig(t)) })
	}
}

func (r Rig) connect(t *testing.T, links map[string]string, fence core.Fence) core.BMC {
	t.Helper()
	e := r.Endpoint
	e.Links = links
	b, err := r.Connector.Connect(t.Context(), e, r.Password, fence)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// verbs are all that change something, in an order in which each has something to
// change.
var verbs = []struct {
	name string
	do   func(context.Context, core.BMC, Rig) error
}{
	{"insert media", func(ctx context.Context, b core.BMC, r Rig) error { return b.InsertMedia(ctx, r.Images[0]) }},
	{"replace media", func(ctx context.Context, b core.BMC, r Rig) error { return b.InsertMedia(ctx, r.Images[1]) }},
	{"boot once", func(ctx context.Context, b core.BMC, _ Rig) error { return b.BootMediaOnce(ctx) }},
	{"clear boot", func(ctx context.Context, b core.BMC, _ Rig) error { return b.ClearBoot(ctx) }},
	{"eject media", func(ctx context.Context, b core.BMC, _ Rig) error { return b.EjectMedia(ctx) }},
	{"on", func(ctx context.Context, b core.BMC, _ Rig) error { return b.SetPower(ctx, core.TurnOn) }},
	{"restart", func(ctx context.Context, b core.BMC, _ Rig) error { return b.SetPower(ctx, core.PowerRestart) }},
	{"shutdown", func(ctx context.Context, b core.BMC, _ Rig) error { return b.SetPower(ctx, core.ShutDown) }},
	{"off", func(ctx context.Context, b core.BMC, _ Rig) error { return b.SetPower(ctx, core.TurnOff) }},
	{"tag", func(ctx context.Context, b core.BMC, _ Rig) error {
		err := b.SetTag(ctx, "pool-1")
		if errors.Is(err, core.ErrTagUnsupported) {
			return nil
		}
		return err
	}},
}

func testInspect(t *testing.T, r Rig) {
	b := r.connect(t, nil, nil)
	first, err := b.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if first.Identity.UUID == "" && first.Identity.Serial == "" && len(first.Identity.MACs) == 0 {
		t.Error("the inspection has no identity")
	}
	if first.Power != core.PowerOff {
		t.Errorf("power is %s, want %s", first.Power, core.PowerOff)
	}
	h := first.Hardware
	if h.Arch == "" || h.CPUs == 0 || h.Memory == 0 || len(h.Disks) == 0 || len(h.NICs) == 0 {
		t.Errorf("the inspection lacks hardware: %+v", h)
	}
	if n := r.Writes(); n != 0 {
		t.Errorf("%d requests changed something", n)
	}
}

func testPower(t *testing.T, r Rig) {
	b := r.connect(t, nil, nil)
	for _, step := range []struct {
		verb core.PowerVerb
		want core.PowerState
	}{
		{core.TurnOff, core.PowerOff},
		{core.TurnOn, core.PowerOn}, {core.TurnOn, core.PowerOn},
		{core.PowerRestart, core.PowerOn},
		{core.ShutDown, core.PowerOff}, {core.ShutDown, core.PowerOff},
		{core.PowerRestart, core.PowerOn},
		{core.TurnOff, core.PowerOff}, {core.TurnOff, core.PowerOff},
	} {
		if err := b.SetPower(t.Context(), step.verb); err != nil {
			t.Fatalf("%s: %v", step.verb, err)
		}
		if is := r.Power(); is != string(step.want) {
			t.Fatalf("%s returned while the power is %s", step.verb, is)
		}
		if state, err := b.Power(t.Context()); err != nil || state != step.want {
			t.Fatalf("power after %s: %s, %v; want %s", step.verb, state, err, step.want)
		}
	}
	if err := b.SetPower(t.Context(), "explode"); core.KindOf(err) != core.Invalid {
		t.Errorf("an unknown verb: %v, want %s", err, core.Invalid)
	}
}

func testMedia(t *testing.T, r Rig) {
	b := r.connect(t, nil, nil)
	insert := func(i int) func() error {
		return func() error { return b.InsertMedia(t.Context(), r.Images[i]) }
	}
	eject := func() error { return b.EjectMedia(t.Context()) }
	for _, step := range []struct {
		name string
		do   func() error
		want string
	}{
		{"eject nothing", eject, ""},
		{"insert", insert(0), r.Images[0]},
		{"insert again", insert(0), r.Images[0]},
		{"insert another", insert(1), r.Images[1]},
		{"eject", eject, ""},
		{"eject again", eject, ""},
		{"insert after all", insert(0), r.Images[0]},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if in := r.Inserted(); in != step.want {
			t.Fatalf("%s: %q is inserted, want %q", step.name, in, step.want)
		}
	}
}

func testBoot(t *testing.T, r Rig) {
	b := r.connect(t, nil, nil)
	if err := b.InsertMedia(t.Context(), r.Images[0]); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
		want bool
	}{
		{"clear nothing", b.ClearBoot, false},
		{"boot once", b.BootMediaOnce, true},
		{"boot once again", b.BootMediaOnce, true},
		{"clear", b.ClearBoot, false},
		{"clear again", b.ClearBoot, false},
	} {
		if err := step.do(t.Context()); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if r.Once() != step.want {
			t.Fatalf("%s: the next start uses the media: %t", step.name, !step.want)
		}
	}
}

func testTag(t *testing.T, r Rig) {
	b := r.connect(t, nil, nil)
	for range 2 {
		err := b.SetTag(t.Context(), "pool-1")
		if errors.Is(err, core.ErrTagUnsupported) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	i, err := b.Inspect(t.Context())
	if err != nil || i.Tag != "pool-1" {
		t.Errorf("the tag reads %q, %v", i.Tag, err)
	}
}

// testLinks: what one conversation learned serves the next, and what it learned
// wrongly does not stop it.
func testLinks(t *testing.T, r Rig) {
	b := r.connect(t, nil, nil)
	if _, err := b.Inspect(t.Context()); err != nil {
		t.Fatal(err)
	}
	links := b.Links()
	if len(links) == 0 {
		t.Fatal("no links are kept after an inspection")
	}
	clear(b.Links())
	if len(b.Links()) != len(links) {
		t.Error("who changes what Links returned changes the conversation")
	}
	b.Close()
	b = r.connect(t, links, nil)
	for _, v := range verbs {
		if err := v.do(t.Context(), b, r); err != nil {
			t.Errorf("%s with links known: %v", v.name, err)
		}
	}
}

func testFenceRefuses(t *testing.T, r Rig) {
	lost := &core.Error{Op: "fence", Kind: core.LeaseLost}
	b := r.connect(t, nil, func(context.Context) (time.Time, error) { return time.Time{}, lost })
	if _, err := b.Inspect(t.Context()); err != nil {
		t.Errorf("a read was fenced: %v", err)
	}
	ready := r.ready()
	before := r.Writes()
	for _, v := range ready {
		if err := v(t.Context(), b); core.KindOf(err) != core.LeaseLost {
			t.Errorf("a fenced verb: %v, want %s", err, core.LeaseLost)
		}
	}
	if n := r.Writes() - before; n != 0 {
		t.Errorf("%d requests were sent though the fence refused", n)
	}
	if _, err := b.Power(t.Context()); err != nil {
		t.Errorf("a read after a refusal: %v", err)
	}
}

// ready are verbs that have something to change on a new server.
func (r Rig) ready() []func(context.Context, core.BMC) error {
	return []func(context.Context, core.BMC) error{
		func(ctx context.Context, b core.BMC) error { return b.InsertMedia(ctx, r.Images[0]) },
		func(ctx context.Context, b core.BMC) error { return b.BootMediaOnce(ctx) },
		func(ctx context.Context, b core.BMC) error { return b.SetPower(ctx, core.TurnOn) },
		func(ctx context.Context, b core.BMC) error { return b.SetPower(ctx, core.PowerRestart) },
		func(ctx context.Context, b core.BMC) error { return b.SetTag(ctx, "pool-1") },
	}
}

// testFenceBounds: a call ends by the moment that the fence names.
func testFenceBounds(t *testing.T, r Rig) {
	b := r.connect(t, nil, func(context.Context) (time.Time, error) { return time.Now().Add(-time.Second), nil })
	if _, err := b.Inspect(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := r.Writes()
	for _, do := range r.ready() {
		if err := do(t.Context(), b); !core.Is(err, core.Timeout, core.Transient, core.LeaseLost) {
			t.Errorf("a verb past its lease: %v", err)
		}
	}
	if n := r.Writes() - before; n != 0 {
		t.Errorf("%d requests were sent though the lease had ended", n)
	}
}

// testFenceBeforeEach: no request that changes something goes without having asked.
func testFenceBeforeEach(t *testing.T, r Rig) {
	asked := 0
	b := r.connect(t, nil, func(context.Context) (time.Time, error) {
		asked++
		return time.Now().Add(time.Minute), nil
	})
	for _, v := range verbs {
		if err := v.do(t.Context(), b, r); err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		if asked < r.Writes() {
			t.Fatalf("%s: %d requests were sent and the fence was asked %d times", v.name, r.Writes(), asked)
		}
	}
	if asked == 0 {
		t.Error("the fence was never asked")
	}
}

func testContextEnds(t *testing.T, r Rig) {
	b := r.connect(t, nil, nil)
	if _, err := b.Inspect(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := r.Writes()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, do := range r.ready() {
		if err := do(ctx, b); core.KindOf(err) != core.Timeout {
			t.Errorf("a verb after its context's end: %v, want %s", err, core.Timeout)
		}
	}
	if _, err := b.Power(ctx); core.KindOf(err) != core.Timeout {
		t.Errorf("power after the context's end: %v, want %s", err, core.Timeout)
	}
	if n := r.Writes() - before; n != 0 {
		t.Errorf("%d requests were sent after the context's end", n)
	}
}

func testTurns(t *testing.T, r Rig) {
	first := r.connect(t, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if b, err := r.Connector.Connect(ctx, r.Endpoint, r.Password, nil); core.KindOf(err) != core.Busy {
		t.Fatalf("a second job while the first goes on: %v, %v; want %s", b, err, core.Busy)
	}
	second := make(chan error, 1)
	go func() {
		b, err := r.Connector.Connect(t.Context(), r.Endpoint, r.Password, nil)
		if err == nil {
			err = b.Close()
		}
		second <- err
	}()
	select {
	case err := <-second:
		t.Fatalf("the second job did not wait for the first: %v", err)
	default:
	}
	first.Close()
	if err := <-second; err != nil {
		t.Fatalf("the second job, once the first was closed: %v", err)
	}
}

func testWrongPassword(t *testing.T, r Rig) {
	r.Password += "x"
	b := r.connect(t, nil, nil)
	if _, err := b.Inspect(t.Context()); core.KindOf(err) != core.Denied {
		t.Errorf("inspect with a wrong password: %v, want %s", err, core.Denied)
	}
	if err := b.SetPower(t.Context(), core.TurnOn); core.KindOf(err) != core.Denied {
		t.Errorf("power with a wrong password: %v, want %s", err, core.Denied)
	}
	if is := r.Power(); is != string(core.PowerOff) {
		t.Errorf("the power is %s", is)
	}
}

func testClose(t *testing.T, r Rig) {
	b := r.connect(t, nil, nil)
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Power(t.Context()); err == nil {
		t.Error("a closed conversation still works")
	}
}
