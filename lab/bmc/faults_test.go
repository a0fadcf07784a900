package bmc

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

const (
	bootPXE    = `{"Boot":{"BootSourceOverrideTarget":"Pxe","BootSourceOverrideEnabled":"Once"}}`
	turnOnBody = `{"ResetType":"On"}`
)

func (r *rig) fault(f Fault) int {
	r.t.Helper()
	id, err := r.bmc.Faults().Add(f)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func TestFaultsOnReset(t *testing.T) {
	for _, c := range []struct {
		name    string
		fault   Fault
		status  int // 0: the connection is cut
		started bool
	}{
		{"fails before", Fault{Kind: Fail}, 500, false},
		{"fails before, status", Fault{Kind: Fail, Status: 503}, 503, false},
		{"fails after", Fault{Kind: Fail, After: true}, 500, true},
		{"cut before", Fault{Kind: Cut}, 0, false},
		{"cut after", Fault{Kind: Cut, After: true}, 0, true},
		{"garbage before", Fault{Kind: Garbage}, 200, false},
		{"garbage after", Fault{Kind: Garbage, After: true}, 200, true},
		{"web page", Fault{Kind: HTML}, 200, false},
		{"wrong credentials", Fault{Kind: Unauthorized}, 401, false},
		{"power stuck", Fault{Kind: Ignore}, 204, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			c.fault.On = Reset
			r.fault(c.fault)
			a, err := r.try("POST", r.sys()+resetAction, turnOnBody)
			if (err != nil) != (c.status == 0) || a.status != c.status {
				t.Errorf("answer %d, error %v", a.status, err)
			}
			if started := r.machine.log() != ""; started != c.started {
				t.Errorf("the machine got %q", r.machine.log())
			}
			if c.status == 200 && json.Valid(a.body) {
				t.Errorf("valid JSON: %s", a.body)
			}
			if c.started {
				return
			}
			r.resetTo("On") // the fault is spent
			if got := r.machine.log(); got != "on" {
				t.Errorf("afterwards the machine got %q", got)
			}
		})
	}
}

func TestFaultsOfOtherVerbs(t *testing.T) {
	r := newRig(t, nil)
	insert, eject := r.slotPath(0)+"/Actions/VirtualMedia.InsertMedia", r.slotPath(0)+"/Actions/VirtualMedia.EjectMedia"

	r.fault(Fault{On: Insert, Kind: Refuse})
	r.want(400, "CouldNotEstablishConnection", "POST", insert, insertBody(r.images.image()))
	r.fault(Fault{On: Insert, Kind: Ignore})
	r.ok("POST", insert, insertBody(r.images.image()))
	if in := r.bmc.Inserted(); len(in) != 0 {
		t.Errorf("an ignored insert put in %v", in)
	}
	r.ok("POST", insert, insertBody(r.images.image()))
	r.fault(Fault{On: Eject, Kind: Ignore})
	r.ok("POST", eject, "{}")
	if in := r.bmc.Inserted(); len(in) != 1 {
		t.Errorf("an ignored eject left %v", in)
	}
	r.fault(Fault{On: SetBoot, Kind: Ignore})
	r.ok("PATCH", r.sys(), bootPXE)
	r.fault(Fault{On: AssetTag, Kind: Ignore})
	r.ok("PATCH", r.sys(), `{"AssetTag":"x"}`)
	if s := r.bmc.State(); s.Boot != noOverride || s.AssetTag != "" {
		t.Errorf("ignored changes changed %+v", s)
	}
	r.fault(Fault{On: Login, Kind: Fail, Status: 503})
	r.want(503, "InternalError", "POST", sessionsPath, `{"UserName":"admin","Password":"correct horse"}`)
	r.fault(Fault{On: Root, Kind: HTML, Count: Forever})
	for range 3 {
		if a := r.ok("GET", "/redfish/v1/", ""); a.header.Get("Content-Type") != "text/html" {
			t.Errorf("the service root is %s", a.body)
		}
	}
	for _, f := range r.bmc.Faults().List() {
		if f.Hits == 0 {
			t.Errorf("fault %+v hit nothing", f)
		}
	}
}

func TestFaultLiesAboutPower(t *testing.T) {
	r := newRig(t, nil)
	r.fault(Fault{On: PowerRead, Kind: Lie, Nth: 2})
	r.fault(Fault{On: PowerRead, Kind: Lie, Nth: 4, Power: PoweringOff})
	var got []string
	for range 5 {
		got = append(got, r.ok("GET", r.sys(), "").json()["PowerState"].(string))
	}
	if want := "Off On Off PoweringOff Off"; strings.Join(got, " ") != want {
		t.Errorf("power reads %v instead of %s", got, want)
	}
}

func TestFaultLetsMediaComeLate(t *testing.T) {
	r := newRig(t, nil)
	r.fault(Fault{On: Insert, Kind: Late, Delay: Duration(time.Minute)})
	r.ok("POST", r.slotPath(0)+"/Actions/VirtualMedia.InsertMedia", insertBody(r.images.image()))
	if d := r.ok("GET", r.slotPath(0), "").json(); d["Inserted"] != true || len(r.images.ranges()) != 0 {
		t.Errorf("inserted %v, fetched %v", d["Inserted"], r.images.ranges())
	}
	bootCD := `{"Boot":{"BootSourceOverrideTarget":"Cd","BootSourceOverrideEnabled":"Once"}}`
	r.ok("PATCH", r.sys(), bootCD)
	r.resetTo("On")
	if got := r.machine.lastBoot(t); got.Source != FromDisk {
		t.Errorf("before the media was there the machine booted %+v", got)
	}
	r.pass(time.Minute)
	r.ok("PATCH", r.sys(), bootCD)
	r.resetTo("ForceRestart")
	if got := r.machine.lastBoot(t); got.Source != FromMedia || got.Media.Size() != int64(len(r.images.iso)) {
		t.Errorf("when the media was there the machine booted %+v", got)
	}
}

func TestLateMediaThatCannotBeFetchedIsPassedOver(t *testing.T) {
	r := newRig(t, nil)
	r.fault(Fault{On: Insert, Kind: Late, Delay: Duration(time.Minute)})
	r.ok("POST", r.slotPath(0)+"/Actions/VirtualMedia.InsertMedia", insertBody(r.images.URL+"/gone.iso"))
	r.pass(time.Minute)
	r.ok("PATCH", r.sys(), `{"Boot":{"BootSourceOverrideTarget":"Cd","BootSourceOverrideEnabled":"Once"}}`)
	r.resetTo("On")
	if got := r.machine.lastBoot(t); got.Source != FromDisk {
		t.Errorf("the machine booted %+v", got)
	}
	r.ok("POST", r.slotPath(0)+"/Actions/VirtualMedia.EjectMedia", "{}")
	r.ok("POST", r.slotPath(0)+"/Actions/VirtualMedia.InsertMedia", insertBody(r.images.image()))
}

// hang sends a reset that a fault holds, and returns once it is held.
func (r *rig) hang(ctx context.Context, f Fault) (id int, answered chan int) {
	r.t.Helper()
	f.On, f.Kind = Reset, Hang
	id = r.fault(f)
	answered = make(chan int, 1)
	request := r.newRequest("POST", r.sys()+resetAction, turnOnBody).WithContext(ctx)
	client := r.newClient()
	go func() {
		response, err := client.Do(request)
		if err != nil {
			answered <- 0
			return
		}
		response.Body.Close()
		answered <- response.StatusCode
	}()
	r.eventually("the request is held", func() bool { return r.bmc.Faults().List()[0].Hits == 1 })
	return id, answered
}

// eventually waits for a condition that other goroutines bring about.
func (r *rig) eventually(what string, is func() bool) {
	r.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	give := time.After(time.Minute)
	for !is() {
		select {
		case <-tick.C:
		case <-give:
			r.t.Fatalf("waited a minute until %s", what)
		}
	}
}

func TestFaultHangsUntilCleared(t *testing.T) {
	r := newRig(t, nil)
	id, answered := r.hang(t.Context(), Fault{})
	if got := r.machine.log(); got != "" {
		t.Errorf("while it hangs the machine got %q", got)
	}
	r.ok("GET", r.sys(), "") // others go on
	r.bmc.Faults().Clear(id)
	if got := <-answered; got != 204 || r.machine.log() != "on" {
		t.Errorf("answer %d, the machine got %q", got, r.machine.log())
	}
}

func TestFaultHangsAfterTheEffect(t *testing.T) {
	r := newRig(t, nil)
	_, answered := r.hang(t.Context(), Fault{After: true})
	r.eventually("the machine starts", func() bool { return r.machine.log() == "on" })
	select {
	case got := <-answered:
		t.Errorf("answered %d while it hangs", got)
	default:
	}
	r.bmc.Faults().Clear()
	if got := <-answered; got != 204 {
		t.Errorf("answer %d", got)
	}
}

func TestFaultHangsForItsDelay(t *testing.T) {
	r := newRig(t, nil)
	_, answered := r.hang(t.Context(), Fault{Delay: Duration(time.Millisecond)})
	if got := <-answered; got != 204 {
		t.Errorf("answer %d", got)
	}
}

func TestAClientThatGivesUpOnAHangLeavesNoEffect(t *testing.T) {
	r := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	_, answered := r.hang(ctx, Fault{})
	cancel()
	if got := <-answered; got != 0 {
		t.Errorf("answer %d", got)
	}
	r.eventually("the request is over", func() bool { return r.bmc.Traffic().Requests == 1 })
	r.bmc.Faults().Clear()
	if got := r.machine.log(); got != "" {
		t.Errorf("the machine got %q", got)
	}
	if e := r.bmc.Traffic().Recent[0]; e.Status != 0 || e.Verb != Reset {
		t.Errorf("recorded as %+v", e)
	}
}

func TestCloseEndsHangingRequests(t *testing.T) {
	r := newRig(t, nil)
	_, answered := r.hang(t.Context(), Fault{})
	if err := r.server.Close(); err != nil {
		t.Error(err)
	}
	if got := <-answered; got != 0 {
		t.Errorf("answer %d", got)
	}
}

func TestFaultsMatchAndCount(t *testing.T) {
	r := newRig(t, nil)
	r.fault(Fault{Method: "get", Path: "/redfish/v1/Systems*", Kind: Fail, Nth: 2, Count: 2})
	var got []int
	for range 4 {
		got = append(got, r.do("GET", r.sys(), "").status)
		r.ok("GET", "/redfish/v1/Chassis", "")
		r.ok("PATCH", r.sys(), `{"AssetTag":"x"}`)
	}
	if want := []int{200, 500, 500, 200}; !reflect.DeepEqual(got, want) {
		t.Errorf("answers %v instead of %v", got, want)
	}
	if f := r.bmc.Faults().List()[0]; f.Hits != 2 {
		t.Errorf("the fault reads %+v", f)
	}
}

func TestFaultsGoThroughJSON(t *testing.T) {
	const text = `{"on":"insert","nth":3,"count":-1,"kind":"late","delay":"1m30s"}`
	var f Fault
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	want := Fault{On: Insert, Nth: 3, Count: Forever, Kind: Late, Delay: Duration(90 * time.Second)}
	if f != want {
		t.Errorf("read %+v", f)
	}
	if back, err := json.Marshal(f); err != nil || string(back) != text {
		t.Errorf("wrote %s, error %v", back, err)
	}
}

func TestBadFaultsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		fault Fault
		says  string
	}{
		"no kind":                {Fault{}, "kind"},
		"unknown kind":           {Fault{Kind: "explode"}, "there is only fail, cut"},
		"unknown verb":           {Fault{Kind: Fail, On: "dance"}, "power-read"},
		"negative nth":           {Fault{Kind: Fail, Nth: -1}, "counted from 1"},
		"status that is no":      {Fault{Kind: Fail, Status: 200}, "400 to 599"},
		"status without use":     {Fault{Kind: Cut, Status: 500}, "fail"},
		"delay without use":      {Fault{Kind: Cut, Delay: 1}, "hang"},
		"negative delay":         {Fault{Kind: Hang, Delay: -1}, "positive"},
		"late without delay":     {Fault{Kind: Late, On: Insert}, "delay"},
		"late on reset":          {Fault{Kind: Late, On: Reset, Delay: 1}, "insert"},
		"refuse on anything":     {Fault{Kind: Refuse}, "insert"},
		"lie on reset":           {Fault{Kind: Lie, On: Reset}, "power-read"},
		"lie of unknown power":   {Fault{Kind: Lie, On: PowerRead, Power: "Dim"}, "PoweringOn"},
		"power without use":      {Fault{Kind: Fail, Power: On}, "lie"},
		"ignore of a read":       {Fault{Kind: Ignore, On: PowerRead}, "reset"},
		"ignore after an effect": {Fault{Kind: Ignore, On: Reset, After: true}, "after"},
	} {
		var fs Faults
		if _, err := fs.Add(c.fault); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v does not say %q", name, err, c.says)
		}
		if len(fs.List()) != 0 {
			t.Errorf("%s: it was added", name)
		}
	}
}

func TestPlanIsReproducibleAndValid(t *testing.T) {
	ofSettings := []Kind{Drop, Forget, TaskFails}
	for _, settings := range []bool{false, true} {
		plan := Plan(7, 500, time.Second, settings)
		if !reflect.DeepEqual(plan, Plan(7, 500, time.Second, settings)) {
			t.Error("the same seed gives other faults")
		}
		if reflect.DeepEqual(plan, Plan(8, 500, time.Second, settings)) {
			t.Error("another seed gives the same faults")
		}
		var fs Faults
		kinds := map[Kind]bool{}
		for _, f := range plan {
			if _, err := fs.Add(f); err != nil {
				t.Errorf("%+v: %v", f, err)
			}
			if time.Duration(f.Delay) > time.Second || f.Kind == Hang && f.Delay == 0 || f.Kind == TaskHangs {
				t.Errorf("%+v hangs without end", f)
			}
			kinds[f.Kind] = true
		}
		if len(kinds) < 8 {
			t.Errorf("only kinds %v", kinds)
		}
		for _, k := range ofSettings {
			if kinds[k] != settings {
				t.Errorf("with settings %v: kind %s is in the plan: %v", settings, k, kinds[k])
			}
		}
	}
}
