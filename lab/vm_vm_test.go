//go:build vm

package lab

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/internal/needs"
	"github.com/metalpool/metalpool/lab/bmc"
)

// vmRig is one virtual machine and its BMC, as a client of Redfish sees it.
type vmRig struct {
	t    *testing.T
	lab  *Lab
	node *Node
	bmc  core.BMC
}

func vmUp(t *testing.T, dir string, v VM) *vmRig {
	t.Helper()
	needs.Program(t, "qemu-system-x86_64", "qemu-system-x86")
	l, err := Up(t.Context(), Config{Dir: dir, Nodes: 1, Vendors: []string{"openbmc"}, VM: &v})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &vmRig{t: t, lab: l, node: l.Nodes()[0]}
	e := l.Rack().Nodes[0].BMC
	r.bmc, err = redfish.New(redfish.Options{}).Connect(t.Context(), core.Endpoint{Backend: "redfish", URL: e.URL, User: e.User, TLS: core.TLSCheck{Fingerprint: e.Fingerprint}}, e.Password, nil)
	r.try(err)
	t.Cleanup(func() { _ = r.bmc.Close() })
	return r
}

func (r *vmRig) try(errs ...error) {
	r.t.Helper()
	for _, err := range errs {
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// serve serves an ISO as an engine would.
func (r *vmRig) serve(iso []byte) (url string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		http.ServeContent(w, q, "boot.iso", time.Time{}, bytes.NewReader(iso))
	}))
	r.t.Cleanup(s.Close)
	return s.URL
}

// console waits for a text on the console, from now on; begun tells what to do first.
func (r *vmRig) console(want string, begun func()) string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 3*time.Minute)
	defer cancel()
	_, live, stop := r.node.Console()
	defer stop()
	begun()
	var got strings.Builder
	for {
		select {
		case chunk := <-live:
			got.Write(chunk)
			if strings.Contains(got.String(), want) {
				return got.String()
			}
		case <-ctx.Done():
			r.t.Fatalf("the console never showed %q; status %+v, console:\n%q", want, r.node.Status(), got.String())
		}
	}
}

func (r *vmRig) await(want bmc.PowerState) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	for r.node.Power() != want {
		if !wait(ctx, 20*time.Millisecond) {
			r.t.Fatalf("the power is %s, not %s", r.node.Power(), want)
		}
	}
}

func TestVMBootsMediaOnceThenItsDisk(t *testing.T) {
	dir := t.TempDir()
	r := vmUp(t, dir, VM{})
	tinyDisk(t, r.node.Disks()[0].Path, "from the disk", obeys)
	ctx := t.Context()
	media := r.serve(tinyISO(t, "from the media", resets))
	r.try(r.bmc.InsertMedia(ctx, media), r.bmc.BootMediaOnce(ctx))
	shown := r.console("from the disk", func() { r.try(r.bmc.SetPower(ctx, core.TurnOn)) })
	if strings.Count(shown, "from the media") != 1 {
		t.Errorf("the media booted %d times:\n%q", strings.Count(shown, "from the media"), shown)
	}
	t.Log(r.node.Status().Phase)
	r.node.PowerOff(true)
	r.await(bmc.Off)
}
