package bmc

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stmcginnis/gofish/schemas"
)

// The numbers that a client is judged by: here is one that knows its URIs.
func TestTrafficOfInsertBootResetAndReadBack(t *testing.T) {
	r := newRig(t, nil)
	c := r.gofish()
	r.bmc.ResetTraffic()
	for _, ask := range []struct {
		send func(path string, body any) (*http.Response, error)
		path string
		body map[string]any
	}{
		{c.Post, r.slotPath(0) + "/Actions/VirtualMedia.InsertMedia", map[string]any{"Image": r.images.image()}},
		{c.Patch, r.sys(), map[string]any{"Boot": map[string]any{"BootSourceOverrideTarget": "Cd", "BootSourceOverrideEnabled": "Once"}}},
		{c.Post, r.sys() + resetAction, map[string]any{"ResetType": "On"}},
	} {
		response, err := ask.send(ask.path, ask.body)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, response.Body) // else the connection is not used again
		if err := errors.Join(err, response.Body.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := schemas.GetComputerSystem(c, r.sys()); err != nil {
		t.Fatal(err)
	}
	got := r.bmc.Traffic()
	if got.Requests != 4 || got.Connections != 0 || got.Open != 1 || got.Peak != 1 || got.WritePeak != 1 {
		t.Errorf("traffic %+v", got)
	}
	for _, v := range []Verb{Insert, SetBoot, Reset, PowerRead} {
		if got.Verbs[v] != 1 {
			t.Errorf("%d requests of %s", got.Verbs[v], v)
		}
	}
	if len(got.Recent) != 4 || got.Recent[2] != (Exchange{"POST", r.sys() + resetAction, Reset, 204}) {
		t.Errorf("recorded %+v", got.Recent)
	}
}

func TestTrafficCountsWhatRunsAtOnce(t *testing.T) {
	r := newRig(t, nil)
	r.fault(Fault{On: SetBoot, Kind: Hang, Count: Forever})
	var all sync.WaitGroup
	for range 3 {
		client := r.newClient()
		all.Go(func() {
			request := r.newRequest("PATCH", r.sys(), bootPXE)
			if response, err := client.Do(request); err == nil {
				response.Body.Close()
			}
		})
	}
	r.eventually("three requests are held", func() bool { return r.bmc.Traffic().WritePeak == 3 })
	r.ok("GET", r.sys(), "")
	if got := r.bmc.Traffic(); got.Peak != 4 || got.Connections != 4 || got.Requests != 1 {
		t.Errorf("traffic %+v", got)
	}
	r.bmc.Faults().Clear()
	all.Wait()
	if got := r.bmc.Traffic(); got.Verbs[SetBoot] != 3 {
		t.Errorf("traffic %+v", got)
	}
}

func TestTrafficForgetsTheOldest(t *testing.T) {
	r := newRig(t, nil, func(c *Config) { c.Record = 2 })
	for _, path := range []string{"/redfish/v1/", "/redfish/v1/Systems", "/redfish/v1/Chassis"} {
		r.ok("GET", path, "")
	}
	got := r.bmc.Traffic()
	if got.Requests != 3 || len(got.Recent) != 2 || got.Recent[0].Path != "/redfish/v1/Systems" {
		t.Errorf("traffic %+v", got)
	}
}
