//go:build vm

package vmtest_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/core/deploy/iso9660"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/bmc"
)

// Somebody else left their media in the only slot that takes a CD. Where the BMC does
// not let go of them, the deploy says what is in its way; else they are taken out.
func TestVMMediaOfSomebodyElse(t *testing.T) {
	r := newRack(t, small)
	r.waits(func(l *core.Timeouts) { l.Power, l.CheckIn = 10*time.Second, 20*time.Second })
	r.insertTheirs()
	try(t, r.node.AddFault(lab.NewFault{BMC: &bmc.Fault{On: bmc.Eject, Kind: bmc.Ignore, Count: bmc.Forever}}))
	o := r.order()
	o.Request.Node = r.node.ID()
	_, err := r.Create(t.Context(), o, nil)
	r.refused(err, core.Backend, "insert media", "the slot with theirs.iso")
	r.is(core.Failed)
	if in := r.node.BMC().Inserted(); len(in) != 1 {
		t.Errorf("the drive holds %v", in)
	}

	r.node.ClearFaults()
	r.waits(func(*core.Timeouts) {})
	r.create(o, nil)
	if in := r.node.BMC().Inserted(); len(in) > 0 {
		t.Errorf("media are in the server's drive: %v", in)
	}
}

// insertTheirs puts media of somebody else into the server's drive, as a colleague
// does who installs something by hand.
func (r *rack) insertTheirs() {
	r.t.Helper()
	text := "of somebody else"
	layout, err := iso9660.Plan(iso9660.Volume{ID: "THEIRS", Files: []iso9660.File{{Name: "README.TXT", Size: int64(len(text)), Data: strings.NewReader(text)}}})
	try(r.t, err)
	var iso bytes.Buffer
	try(r.t, layout.Write(&iso))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		http.ServeContent(w, q, "theirs.iso", time.Time{}, bytes.NewReader(iso.Bytes()))
	}))
	r.t.Cleanup(server.Close)
	rack := r.lab.Rack().Nodes[0].BMC
	board, err := redfish.New(redfish.Options{}).Connect(r.t.Context(), r.found().Spec.BMC, rack.Password, nil)
	try(r.t, err)
	defer board.Close()
	try(r.t, board.InsertMedia(r.t.Context(), server.URL+"/theirs.iso"))
	if in := r.node.BMC().Inserted(); len(in) != 1 {
		r.t.Fatalf("the drive holds %v", in)
	}
}
