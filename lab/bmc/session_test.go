package bmc

import (
	"strings"
	"testing"
	"time"

	"github.com/stmcginnis/gofish"
)

func TestCredentials(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct {
		name, method, path string
		headers            []string
		status             int
	}{
		{"service root without", "GET", "/redfish/v1/", []string{"Authorization", ""}, 200},
		{"service root without slash", "GET", "/redfish/v1", []string{"Authorization", ""}, 200},
		{"versions without", "GET", "/redfish", []string{"Authorization", ""}, 200},
		{"metadata without", "GET", "/redfish/v1/$metadata", []string{"Authorization", ""}, 200},
		{"odata without", "GET", "/redfish/v1/odata", []string{"Authorization", ""}, 200},
		{"systems without", "GET", "/redfish/v1/Systems", []string{"Authorization", ""}, 401},
		{"sessions without", "GET", sessionsPath, []string{"Authorization", ""}, 401},
		{"unknown without", "GET", "/redfish/v1/Nothing", []string{"Authorization", ""}, 401},
		{"wrong password", "GET", "/redfish/v1/Systems", []string{"Authorization", "Basic YWRtaW46d3Jvbmc="}, 401},
		{"garbage", "GET", "/redfish/v1/Systems", []string{"Authorization", "Bearer x"}, 401},
		{"unknown token", "GET", "/redfish/v1/Systems", []string{"X-Auth-Token", "x"}, 401},
		{"right", "GET", "/redfish/v1/Systems", nil, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := r.do(c.method, c.path, "", c.headers...)
			if a.status != c.status {
				t.Errorf("answer %d instead of %d", a.status, c.status)
			}
			if a.status == 401 && a.header.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
}

func TestGofishSession(t *testing.T) {
	r := newRig(t, nil)
	c, err := gofish.Connect(gofish.ClientConfig{
		Endpoint: r.server.URL(), Username: testUser, Password: testPassword,
		HTTPClient: r.newClient(), NoModifyTransport: true, ReuseConnections: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	service, err := c.Service.SessionService()
	if err != nil {
		t.Fatal(err)
	}
	open, err := service.Sessions()
	if err != nil || len(open) != 1 || open[0].UserName != testUser {
		t.Errorf("sessions: %v, error %v", open, err)
	}
	if got := r.bmc.Sessions(); len(got) != 1 || got[0].User != testUser {
		t.Errorf("the BMC has sessions %+v", got)
	}
	c.Logout()
	if got := r.bmc.Sessions(); len(got) != 0 {
		t.Errorf("after the logout the BMC has sessions %+v", got)
	}
}

func TestLoginIsRefused(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"wrong password", `{"UserName":"admin","Password":"wrong"}`, 401},
		{"wrong user", `{"UserName":"root","Password":"correct horse"}`, 401},
		{"no password", `{"UserName":"admin"}`, 400},
		{"no JSON", `{`, 400},
		{"wrong type", `{"UserName":"admin","Password":7}`, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a := r.do("POST", sessionsPath, c.body, "Authorization", ""); a.status != c.status {
				t.Errorf("answer %d instead of %d", a.status, c.status)
			}
		})
	}
	if got := r.bmc.Sessions(); len(got) != 0 {
		t.Errorf("sessions %+v", got)
	}
}

func TestLeakedSessionsRunOutAndTimeOut(t *testing.T) {
	few := openBMC
	few.MaxSessions = 2
	r := newRig(t, &few)
	login := func() reply {
		return r.do("POST", sessionsPath, `{"UserName":"admin","Password":"correct horse"}`, "Authorization", "")
	}
	first := login()
	token := first.header.Get("X-Auth-Token")
	if first.status != 201 || token == "" || !strings.HasPrefix(first.header.Get("Location"), sessionsPath) || strings.Contains(string(first.body), testPassword) {
		t.Fatalf("login: %d %v %s", first.status, first.header, first.body)
	}
	login()
	if a := login(); a.status != 503 || a.message() != "Base.1.18.SessionLimitExceeded" {
		t.Errorf("third login: %d %s", a.status, a.body)
	}
	r.pass(sessionTimeout - time.Second)
	r.ok("GET", r.sys(), "", "Authorization", "", "X-Auth-Token", token)
	r.pass(2 * time.Second)
	if got := r.bmc.Sessions(); len(got) != 1 {
		t.Errorf("%d sessions are left: %+v", len(got), got)
	}
	r.ok("GET", r.sys(), "", "Authorization", "", "X-Auth-Token", token)
	r.pass(sessionTimeout + time.Second)
	r.want(401, "NoValidSession", "GET", r.sys(), "", "Authorization", "", "X-Auth-Token", token)
	r.want(404, "ResourceMissingAtURI", "DELETE", first.header.Get("Location"), "")
}
