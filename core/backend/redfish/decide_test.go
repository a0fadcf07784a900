package redfish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stmcginnis/gofish/schemas"

	"github.com/metalpool/metalpool/core"
)

// TestAgain: what may be sent once more, by method and answer.
func TestAgain(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	reset := &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
	const body = `{"error":{"code":"Base.1.8.GeneralError","@Message.ExtendedInfo":[{"MessageId":"X.1.0.Other"},{"MessageId":%q}]}}`
	for _, c := range []struct {
		what        string
		status      int // 0 is no answer but err
		id          string
		err         error
		read, write bool
	}{
		{"success", 204, "", nil, false, false},
		{"no connection came about", 0, "", dial, true, true},
		{"the connection was cut", 0, "", reset, true, false},
		{"the certificate changed", 0, "", &certificateError{}, false, false},
		{"the fence refused", 0, "", &fencedError{errNoTime}, false, false},
		{"a link led elsewhere", 0, "", foreignLinkError("x"), false, false},
		{"500", 500, "Base.1.8.InternalError", nil, true, false},
		{"501", 501, "", nil, false, false},
		{"503, unexplained", 503, "", nil, true, false},
		{"503, busy", 503, "Base.1.18.ServiceTemporarilyUnavailable", nil, true, true},
		{"409, in use", 409, "Base.v1_4_0.ResourceInUse", nil, true, true},
		{"400, the vendor's busy", 400, "iLO.2.30.UnableToModifyDuringSystemPOST", nil, true, true},
		{"400", 400, "Base.1.8.PropertyUnknown", nil, false, false},
		{"401, busy or not", 401, "Base.1.18.ServiceTemporarilyUnavailable", nil, false, false},
		{"412", 412, "Base.1.8.PreconditionFailed", nil, false, false},
		{"429", 429, "", nil, true, true},
		{"502", 502, "", nil, true, false},
	} {
		var resp *http.Response
		if c.status != 0 {
			resp = &http.Response{StatusCode: c.status, Body: io.NopCloser(strings.NewReader(fmt.Sprintf(body, c.id)))}
		}
		for method, want := range map[string]bool{"GET": c.read, "HEAD": c.read, "POST": c.write, "PATCH": c.write, "DELETE": c.write} {
			ctx := context.WithValue(t.Context(), methodKey{}, method)
			if got := again(ctx, resp, c.err, []string{"UnableToModifyDuringSystemPOST"}); got != want {
				t.Errorf("%s: %s is sent again: %t, want %t", c.what, method, got, want)
			}
		}
		once := context.WithValue(context.WithValue(t.Context(), methodKey{}, "POST"), onceKey{}, true)
		if again(once, resp, c.err, []string{"UnableToModifyDuringSystemPOST"}) && !neverSent(c.err) {
			t.Errorf("%s: a reset is sent again", c.what)
		}
		if resp != nil {
			if left, _ := io.ReadAll(resp.Body); !strings.HasPrefix(string(left), `{"error"`) {
				t.Errorf("%s: the look at the answer used it up", c.what)
			}
			resp.Body.Close()
		}
	}
}

func TestOutcome(t *testing.T) {
	answer := func(status int, id string) error {
		return schemas.ConstructError(status, fmt.Appendf(nil, `{"error":{"code":%q}}`, id))
	}
	for _, c := range []struct {
		err  error
		want outcome
	}{
		{nil, taken},
		{answer(400, ""), refused},
		{answer(409, "Base.1.8.ResourceInUse"), refused},
		{answer(308, ""), refused},
		{answer(501, ""), refused},
		{answer(503, "Base.1.8.ServiceTemporarilyUnavailable"), refused},
		{answer(503, "SYS518"), refused},
		{&failedJobError{}, refused},
		{answer(500, ""), unknown},
		{answer(503, ""), unknown},
		{answer(408, ""), unknown},
		{io.ErrUnexpectedEOF, unknown},
		{context.DeadlineExceeded, unknown},
		{answer(401, ""), futile},
		{answer(403, ""), futile},
		{answer(404, ""), futile},
		{&net.OpError{Op: "dial", Err: io.EOF}, futile},
		{&fencedError{io.EOF}, futile},
		{&core.Error{Kind: core.Invalid}, futile},
		{&certificateError{}, futile},
	} {
		if got := outcomeOf(c.err, []string{"SYS518"}); got != c.want {
			t.Errorf("the outcome of %v is %d, want %d", c.err, got, c.want)
		}
	}
}

func TestChooseSystem(t *testing.T) {
	make := func(id string, change func(*system)) system {
		s := system{ID: id}
		s.Actions.Reset.Target = id + "/reset"
		s.Links.Chassis, s.Links.ManagedBy = schemas.Links{"c"}, schemas.Links{"m"}
		if change != nil {
			change(&s)
		}
		return s
	}
	dpu := make("dpu", func(s *system) { s.SystemType = "DPU" })
	idle := make("idle", func(s *system) { s.Actions.Reset.Target = "" })
	stray := make("stray", func(s *system) { s.Links.Chassis = nil })
	one, two := make("one", nil), make("two", nil)
	for _, c := range []struct {
		systems []system
		want    string // ID, or text of the error
	}{
		{[]system{one}, "one"},
		{[]system{dpu}, "dpu"}, // alone, it is what there is
		{[]system{dpu, one}, "one"},
		{[]system{idle, dpu, one, stray}, "one"},
		{[]system{one, two}, "one, two"},
		{[]system{dpu, one, two}, "one, two"},
		{nil, "it has no system"},
	} {
		got, err := chooseSystem(c.systems)
		if err != nil && !strings.Contains(err.Error(), c.want) || err == nil && got.ID != c.want {
			t.Errorf("chose %q, %v; want %q", got.ID, err, c.want)
		}
	}
}

func TestLocalLinks(t *testing.T) {
	at, err := parseAddress("HTTPS://BMC.example:8443/redfish/v1/")
	if err != nil || at.base != "https://bmc.example:8443" || at.key != "bmc.example:8443" {
		t.Fatalf("the address is %+v, %v", at, err)
	}
	for link, want := range map[string]string{
		"/redfish/v1/Systems/1":                             "/redfish/v1/Systems/1",
		"https://bmc.example:8443/redfish/v1/Systems/1?x=y": "/redfish/v1/Systems/1?x=y",
		"https://BMC.EXAMPLE:8443/redfish/v1/":              "/redfish/v1/",
		"https://other/redfish/v1/":                         "",
		"https://u:p@bmc.example:8443/redfish/v1/":          "",
		"//other/redfish/v1/":                               "",
		"@other/redfish/v1/":                                "",
		".other/redfish/v1/":                                "",
		":1/redfish/v1/":                                    "",
		"":                                                  "",
		"http://%zz/":                                       "",
		"redfish/v1/Systems/1":                              "",
	} {
		got, err := at.local(link)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("the link %q leads to %q, %v; want %q", link, got, err, want)
		}
	}
	for raw, want := range map[string]string{
		"https://10.0.0.7":   "10.0.0.7:443",
		"http://10.0.0.7":    "10.0.0.7:80",
		"https://[FE80::1]":  "[fe80::1]:443",
		"https://10.0.0.7:1": "10.0.0.7:1",
	} {
		if at, err := parseAddress(raw); err != nil || at.key != want {
			t.Errorf("the key of %s is %q, %v; want %q", raw, at.key, err, want)
		}
	}
}

func TestSameImage(t *testing.T) {
	const image = "http://10.0.0.1:8080/boot/a1b2/node.iso"
	for shown, want := range map[string]bool{
		image:                                true,
		"":                                   true,
		"node.iso":                           true,
		"//10.0.0.1:8080/boot/a1b2/node.iso": true,
		"http://10.0.0.1:8080/boot/c3d4/other.iso": false,
		"other.iso": false,
	} {
		if got := sameImage(shown, image); got != want {
			t.Errorf("%q is the image: %t, want %t", shown, got, want)
		}
	}
}

// TestManners: rows apply to whom they name, and add up.
func TestManners(t *testing.T) {
	for _, c := range []struct {
		vendor, model, firmware string
		want                    func(manners) bool
	}{
		{"", "", "", func(m manners) bool { return len(m.Busy) == 0 && m.BootTarget == "" && m.BootAt == "" }},
		{"Dell Inc.", "PowerEdge R640", "6.10.30.00", func(m manners) bool { return m.AlwaysEject && m.BootAt == "" && m.Busy[0] == "SYS518" }},
		{"Dell Inc.", "PowerEdge R670", "1.20.50.50", func(m manners) bool {
			return !m.AlwaysEject && m.BootAt == "@Redfish.Settings" && m.ResetTries == 5
		}},
		{"Hewlett Packard Enterprise", "ProLiant DL160 Gen10", "", func(m manners) bool { return m.EjectObject && m.Mode == modeNever }},
		{"HP", "ProLiant DL380 Gen9", "", func(m manners) bool { return m.EjectObject && m.Mode == modeIfShown }},
		{"Super Micro Computer", "", "", func(m manners) bool { return m.ImageOnly && m.BootTarget == "UsbCd" && m.Mode == modeAlways }},
		{"LENOVO", "ThinkSystem SR675 V3", "", func(m manners) bool { return m.RestPolls == 10 && m.LastSlots != nil }},
		{"NVIDIA", "GB200 NVL", "", func(m manners) bool { return m.InsertMore == nil }},
		{"Chip PC", "", "", func(m manners) bool { return !m.EjectObject }}, // no HP
	} {
		if m := mannersOf(c.vendor, c.model, c.firmware); !c.want(m) {
			t.Errorf("the manners of %s %s %s are %+v", c.vendor, c.model, c.firmware, m)
		}
	}
}
