package bmc

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stmcginnis/gofish/schemas"
)

func TestGofishInsertsBootsAndEjects(t *testing.T) {
	r := newRig(t, nil)
	c := r.gofish()
	s := r.system(c)
	slots, err := s.VirtualMedia()
	if err != nil || len(slots) != 2 {
		t.Fatalf("slots: %v, error %v", slots, err)
	}
	cd := slots[0]
	if *cd.Inserted || cd.Image != "" || cd.ConnectedVia != "NotConnected" {
		t.Errorf("an empty slot reads %+v", cd)
	}
	if _, err := cd.InsertMedia(&schemas.VirtualMediaInsertMediaParameters{Image: r.images.image()}); err != nil {
		t.Fatal(err)
	}
	slots, err = s.VirtualMedia()
	if err != nil {
		t.Fatal(err)
	}
	cd = slots[0]
	if !*cd.Inserted || cd.Image != r.images.image() || cd.ImageName != "boot.iso" || cd.ConnectedVia != "URI" || !*cd.WriteProtected || cd.TransferProtocolType != "HTTP" {
		t.Errorf("after the insert the slot reads %+v", cd)
	}
	if got := r.images.ranges(); len(got) != 1 || got[0] != "bytes=32768-34815" {
		t.Errorf("an insert fetched %v, not just the volume descriptor", got)
	}
	err = s.SetBoot(&schemas.Boot{BootSourceOverrideTarget: schemas.CdBootSource, BootSourceOverrideEnabled: schemas.OnceBootSourceOverrideEnabled})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Reset(schemas.OnResetType); err != nil {
		t.Fatal(err)
	}
	boot := r.machine.lastBoot(t)
	if boot.Source != FromMedia || boot.Slot != "Slot_0" || boot.Media == nil {
		t.Fatalf("the machine booted %+v", boot)
	}
	if boot.Media.Size() != int64(len(r.images.iso)) || boot.Media.URL() != r.images.image() {
		t.Errorf("the media has %d bytes from %s", boot.Media.Size(), boot.Media.URL())
	}
	part := make([]byte, 1000)
	if n, err := boot.Media.ReadAt(part, 500_000); n != 1000 || err != nil || !bytes.Equal(part, r.images.iso[500_000:501_000]) {
		t.Errorf("reading the media: %d bytes, error %v", n, err)
	}
	if requests, got := boot.Media.Fetched(); requests != 2 || got != 3048 {
		t.Errorf("%d requests for %d bytes of the media", requests, got)
	}
	if slots, err = s.VirtualMedia(); err != nil {
		t.Fatal(err)
	}
	if _, err := slots[0].EjectMedia(); err != nil {
		t.Fatal(err)
	}
	if _, err := boot.Media.ReadAt(part, 0); !errors.Is(err, ErrEjected) {
		t.Errorf("a read after the eject: %v", err)
	}
	if in := r.bmc.Inserted(); len(in) != 0 {
		t.Errorf("after the eject there is %v", in)
	}
	r.resetTo("ForceOff")
	r.resetTo("On")
	if boot := r.machine.lastBoot(t); boot.Source != FromDisk {
		t.Errorf("the override was for once, but the second start booted %+v", boot)
	}
}

func TestMediaReadsAsAReaderAt(t *testing.T) {
	r := newRig(t, nil)
	r.ok("POST", r.slotPath(0)+"/Actions/VirtualMedia.InsertMedia", insertBody(r.images.image()))
	r.ok("PATCH", r.sys(), `{"Boot":{"BootSourceOverrideTarget":"Cd","BootSourceOverrideEnabled":"Once"}}`)
	r.resetTo("On")
	m := r.machine.lastBoot(t).Media
	all, err := io.ReadAll(io.NewSectionReader(m, 0, m.Size()))
	if err != nil || !bytes.Equal(all, r.images.iso) {
		t.Errorf("read %d bytes, error %v", len(all), err)
	}
	last := make([]byte, 10)
	for _, left := range []int{4, 0} {
		n, err := m.ReadAt(last, m.Size()-int64(left))
		if n != left || err != io.EOF { //nolint:errorlint // itself: those who call an io.ReaderAt compare so
			t.Errorf("%d bytes before the end: %d bytes, error %v", left, n, err)
		}
	}
	if n, err := m.ReadAt(nil, 0); n != 0 || err != nil {
		t.Errorf("nothing: %d bytes, error %v", n, err)
	}
	if _, err := m.ReadAt(last, -1); err == nil {
		t.Error("before the start: no error")
	}
}

func TestInsertOfWhatCannotBeFetchedIsRefused(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for _, c := range []struct{ name, image, message, reason string }{
		{"gone", "/gone.iso", "CouldNotEstablishConnection", "410 Gone"},
		{"missing", "/missing.iso", "CouldNotEstablishConnection", "404 Not Found"},
		{"no ranges", "/rangeless.iso", "CouldNotEstablishConnection", "byte ranges"},
		{"no image", "/text.iso", "ActionParameterValueError", ""},
		{"too short", "/short.iso", "ActionParameterValueError", ""},
		{"nobody there", closed.URL + "/secret-path.iso", "CouldNotEstablishConnection", "connection refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			image := c.image
			if strings.HasPrefix(image, "/") {
				image = r.images.URL + image
			}
			a := r.want(400, c.message, "POST", r.slotPath(0)+"/Actions/VirtualMedia.InsertMedia", insertBody(image))
			if !strings.Contains(string(a.body), c.reason) || strings.Contains(string(a.body), "secret-path") {
				t.Errorf("the answer does not say %q, or tells the URL: %s", c.reason, a.body)
			}
			if in := r.bmc.Inserted(); len(in) != 0 {
				t.Errorf("inserted: %v", in)
			}
			r.ok("POST", r.slotPath(0)+"/Actions/VirtualMedia.InsertMedia", insertBody(r.images.image()))
		})
	}
}

func TestInsertOverInsertedIsRefused(t *testing.T) {
	r := newRig(t, nil)
	insert := r.slotPath(0) + "/Actions/VirtualMedia.InsertMedia"
	r.ok("POST", insert, insertBody(r.images.image()))
	r.want(409, "ResourceInUse", "POST", insert, insertBody(r.images.image()))
}

func TestInsertUsesTheCredentialsAndHidesThem(t *testing.T) {
	r := newRig(t, nil)
	r.ok("POST", r.slotPath(0)+"/Actions/VirtualMedia.InsertMedia", `{"Image":"`+r.images.image()+`","UserName":"reader","Password":"s3cret","WriteProtected":false}`)
	if r.images.as[0] != "reader" {
		t.Errorf("fetched as %q", r.images.as[0])
	}
	a := r.ok("GET", r.slotPath(0), "")
	if strings.Contains(string(a.body), "s3cret") || a.json()["WriteProtected"] != false {
		t.Errorf("the slot reads %s", a.body)
	}
}

func TestVerifyCertificateIsHonoured(t *testing.T) {
	images := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x.iso", time.Time{}, bytes.NewReader(newISO(40_000)))
	}))
	t.Cleanup(images.Close)
	images.Config.ErrorLog = nil
	r := newRig(t, nil)
	r.ok("PATCH", r.slotPath(0), `{"VerifyCertificate":true}`)
	r.want(400, "CouldNotEstablishConnection", "POST", r.slotPath(0)+"/Actions/VirtualMedia.InsertMedia", insertBody(images.URL+"/x.iso"))
	r.ok("PATCH", r.slotPath(0), `{"VerifyCertificate":false}`)
	r.ok("POST", r.slotPath(0)+"/Actions/VirtualMedia.InsertMedia", insertBody(images.URL+"/x.iso"))
}

func TestManagerResetForgetsMediaAndSessions(t *testing.T) {
	r := newRig(t, nil)
	r.ok("POST", r.slotPath(0)+"/Actions/VirtualMedia.InsertMedia", insertBody(r.images.image()))
	r.ok("POST", sessionsPath, `{"UserName":"admin","Password":"correct horse"}`)
	action := r.bmc.ownManagerPath() + "/Actions/Manager.Reset"
	r.want(400, "PropertyValueNotInList", "POST", action, `{"ResetType":"On"}`)
	r.want(400, "ActionParameterUnknown", "POST", action, `{"Delay":"1"}`)
	r.ok("POST", action, `{"ResetType":"ForceRestart"}`)
	if in, s := r.bmc.Inserted(), r.bmc.Sessions(); len(in)+len(s) != 0 {
		t.Errorf("still inserted %v, still open %v", in, s)
	}
}

func TestTheMachineIsToldOfItsDisc(t *testing.T) {
	var r *rig
	seen := make(chan string, 10)
	r = newRig(t, nil, func(c *Config) {
		c.MediaChanged = func() {
			url := "empty"
			if d := r.bmc.Disc(); d != nil {
				url = d.URL()
			}
			seen <- url
		}
	})
	insert := func() {
		r.ok("POST", r.slotPath(0)+"/Actions/VirtualMedia.InsertMedia", insertBody(r.images.image()))
	}
	insert()
	r.ok("POST", r.slotPath(0)+"/Actions/VirtualMedia.EjectMedia", `{}`)
	insert()
	r.ok("POST", "/redfish/v1/Managers/"+r.bmc.manners.ManagerID+"/Actions/Manager.Reset", `{"ResetType":"ForceRestart"}`)
	for _, want := range []string{r.images.image(), "empty", r.images.image(), "empty"} {
		if got := <-seen; got != want {
			t.Errorf("the machine saw %q; want %q", got, want)
		}
	}
}
