package redfish_test

import (
	"context"
	"errors"
	"fmt"
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

// quirkTests: do works with a vendor's BMC, and, where row is one of the table, does
// not without that row.
var quirkTests = []struct {
	name, row, vendor string
	change            func(*bmc.Manners)
	adjust            func(*bmc.Config, *machine)
	do                func(*testing.T, *rig) error
}{
	{name: "the serial is the service tag", row: "Dell: service tag", vendor: "idrac9",
		adjust: func(_ *bmc.Config, m *machine) { m.facts.SKU = "7XK2QL3" },
		do: func(t *testing.T, r *rig) error {
			i, err := r.connect(nil).Inspect(t.Context())
			if err == nil && i.Identity.Serial != "7XK2QL3" {
				err = fmt.Errorf("the serial is %q", i.Identity.Serial)
			}
			return err
		}},
	{name: "racadm comes before the console", row: "Dell: console", vendor: "idrac9", do: opensConsole},
	{name: "a change is refused while a job runs", row: "Dell: busy", vendor: "idrac9", do: changeInPOST},
	{name: "a job answers 404 at first", row: "Dell: late jobs", vendor: "idrac10", do: func(t *testing.T, r *rig) error {
		return all(r.enrolled().BootMediaOnce(t.Context()), r.sent("/redfish/v1/TaskService/Tasks/JID_1", 404, 200))
	}},
	{name: "media stays in after an eject", row: "Dell iDRAC9: media", vendor: "idrac9", do: func(t *testing.T, r *rig) error {
		b := r.enrolled()
		r.fault(bmc.Fault{On: bmc.Insert, Kind: bmc.Fail})
		return all(b.InsertMedia(t.Context(), r.images[0]), r.sent("POST eject", 500), r.sent("POST insert", 500, 204))
	}},
	{name: "media stays in after an eject, of another image", vendor: "idrac9", do: func(t *testing.T, r *rig) error {
		b := r.enrolled()
		return all(b.InsertMedia(t.Context(), r.images[0]), b.InsertMedia(t.Context(), r.images[1]), b.EjectMedia(t.Context()),
			b.InsertMedia(t.Context(), r.images[0]), bootsMedia(t, r, b))
	}},
	{name: "only slot 1 boots", row: "Dell iDRAC10: slot", vendor: "idrac10", do: deploys,
		change: func(m *bmc.Manners) { slices.Reverse(m.Slots) }},
	{name: "On answers 409 after off", row: "Dell iDRAC10: on after off", vendor: "idrac10", do: func(t *testing.T, r *rig) error {
		b := r.enrolled()
		return all(b.SetPower(t.Context(), core.TurnOn), b.SetPower(t.Context(), core.PowerRestart),
			r.sent("POST reset", 204, 204, 409, 204))
	}},
	{name: "an action with If-Match answers 412", vendor: "idrac10", do: deploys},
	{name: "Boot is read-only on the system", row: "Dell iDRAC10: boot settings", vendor: "idrac10", do: deploys},
	{name: "a change is refused in POST", row: "HPE: busy in POST", vendor: "ilo6", do: changeInPOST},
	{name: "a reset is refused while the power changes", row: "HPE: busy in POST", vendor: "ilo5",
		adjust: func(_ *bmc.Config, m *machine) { m.state, m.after, m.looks = bmc.PoweringOff, bmc.Off, 12 },
		do: func(t *testing.T, r *rig) error {
			b := r.enrolled()
			return all(b.SetPower(t.Context(), core.TurnOn), r.sent("POST reset", 400, 200))
		}},
	{name: "an eject needs a body", row: "HPE: eject", vendor: "ilo5", do: func(t *testing.T, r *rig) error {
		b := r.enrolled()
		return all(b.InsertMedia(t.Context(), r.images[0]), b.EjectMedia(t.Context()), r.sent("POST eject", 200))
	}},
	{name: "the iLO's command line comes before the console", row: "HPE: console", vendor: "ilo5", do: opensConsole},
	{name: "a whole Boot object is refused", row: "HPE DL160 Gen10", vendor: "dl160", do: func(t *testing.T, r *rig) error {
		return all(deploys(t, r), r.sent("PATCH boot", 200))
	}},
	{name: "Inserted and WriteProtected are refused", row: "Supermicro: insert", vendor: "supermicro-x11", do: deploys},
	{name: "virtual media boots as UsbCd", row: "Supermicro: boot source", vendor: "supermicro-x12", do: deploys},
	{name: "the boot mode is lost", row: "Supermicro: boot mode", vendor: "supermicro-x12", do: func(t *testing.T, r *rig) error {
		b := r.enrolled()
		err := all(b.BootMediaOnce(t.Context()), b.ClearBoot(t.Context()))
		if mode := r.bmc.State().Boot.Mode; err == nil && mode != "UEFI" {
			err = fmt.Errorf("the boot mode is %s", mode)
		}
		return err
	}},
	{name: "SMASH comes before the console", row: "Supermicro: console", vendor: "supermicro-x11", do: opensConsole},
	{name: "Redfish tells the way through SMASH", vendor: "supermicro-x12", do: opensConsole},
	{name: "an empty slot shows no EjectMedia", vendor: "supermicro-x11", do: func(t *testing.T, r *rig) error {
		b := r.enrolled()
		return all(b.EjectMedia(t.Context()), b.InsertMedia(t.Context(), r.images[0]), b.EjectMedia(t.Context()),
			r.sent("POST eject", 204))
	}},
	{name: "the XCC's command line comes before the console", row: "Lenovo XCC: console", vendor: "xcc", do: opensConsole},
	{name: "RDOC slots come last", row: "Lenovo XCC: media", vendor: "xcc", do: deploys},
	{name: "no media actions", vendor: "xcc", do: func(t *testing.T, r *rig) error {
		b := r.enrolled()
		return all(b.InsertMedia(t.Context(), r.images[0]), b.EjectMedia(t.Context()), r.sent("PATCH insert /redfish/v1/Systems/1/VirtualMedia/Remote1", 204), r.sent("PATCH eject /redfish/v1/Systems/1/VirtualMedia/Remote1", 204))
	}},
	{name: "NVRAM changes bring up a menu", vendor: "xcc", do: func(t *testing.T, r *rig) error {
		err := deploys(t, r)
		b := r.connect(nil)
		err = all(err, b.ClearBoot(t.Context()), b.ClearBoot(t.Context()))
		if s := r.bmc.State(); err == nil && (s.NVRAMChanges != 0 || len(s.BootOrder) != 0) {
			err = fmt.Errorf("the boot order was changed: %+v", s)
		}
		return all(err, r.sent("PATCH boot", 204))
	}},
	{name: "a forced restart hangs", vendor: "sr675", do: func(t *testing.T, r *rig) error {
		b := r.enrolled()
		err := all(b.SetPower(t.Context(), core.TurnOn), b.SetPower(t.Context(), core.PowerRestart))
		if log := r.machine.log(); err == nil && log != "on off on" {
			err = fmt.Errorf("the machine was told %q", log)
		}
		return err
	}},
	{name: "boot settings are at SD", row: "AMI: boot settings", vendor: "ami", do: deploys},
	{name: "boot settings are at SD, of ASRockRack", row: "AMI: boot settings", vendor: "asrockrack", do: deploys},
	{name: "an insert needs a login", row: "NVIDIA DGX: media", vendor: "dgx", do: deploys},
	{name: "the first system is a GPU board", vendor: "dgx", do: deploys},
	{name: "slots are under the manager only", vendor: "gb200", do: deploys},
	{name: "an insert needs the transfer", row: "Nokia: media", vendor: "nokia", do: deploys},
	{name: "the first slot takes no image", row: "Cisco: media", vendor: "cisco", do: func(t *testing.T, r *rig) error {
		b := r.enrolled()
		err := all(b.InsertMedia(t.Context(), r.images[0]), bootsMedia(t, r, b))
		r.endpoint.Links = b.Links()
		b.Close()
		b = r.connect(nil)
		return all(err, b.InsertMedia(t.Context(), r.images[1]), r.sent("/0/Actions/VirtualMedia.InsertMedia", 400))
	}},
	{name: "few ways to reset", vendor: "gigabyte", do: func(t *testing.T, r *rig) error {
		b := r.enrolled()
		return all(b.SetPower(t.Context(), core.TurnOn), b.SetPower(t.Context(), core.PowerRestart), b.SetPower(t.Context(), core.ShutDown))
	}},
	{name: "the asset tag is read-only", vendor: "gigabyte", do: func(t *testing.T, r *rig) error {
		err := r.enrolled().SetTag(t.Context(), "pool-1")
		if !errors.Is(err, core.ErrTagUnsupported) || !strings.Contains(err.Error(), "PropertyNotWritable") {
			return fmt.Errorf("setting the tag: %w", err)
		}
		return nil
	}},
}

func TestQuirks(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range quirkTests {
		run := func(t *testing.T) error {
			manners := *must1(t)(bmc.Named(c.vendor))
			manners.Slots = slices.Clone(manners.Slots)
			if c.change != nil {
				c.change(&manners)
			}
			adjust := c.adjust
			if adjust == nil {
				adjust = func(*bmc.Config, *machine) {}
			}
			return c.do(t, newRig(t, &manners, adjust))
		}
		t.Run(c.vendor+"/"+c.name, func(t *testing.T) {
			if err := run(t); err != nil {
				t.Error(err)
			}
		})
		if c.row == "" {
			continue
		}
		tested[c.row] = true
		t.Run(c.vendor+"/"+c.name+", without its row", func(t *testing.T) {
			redfish.DropQuirk(t, c.row)
			if err := run(t); err == nil {
				t.Errorf("it works without the row %q: the row, or this test, is of no use", c.row)
			} else {
				t.Log(err)
			}
		})
	}
	tested["Lenovo SR675 V3"] = true // TestRestIsKept
	for _, name := range redfish.QuirkNames() {
		if !tested[name] {
			t.Errorf("the row %q has no test", name)
		}
	}
}

// deploys does what a deploy does to a BMC, and looks at what the server booted.
func deploys(t *testing.T, r *rig) error {
	b := r.enrolled()
	defer b.Close()
	return all(b.EjectMedia(t.Context()), b.InsertMedia(t.Context(), r.images[0]), bootsMedia(t, r, b))
}

func bootsMedia(t *testing.T, r *rig, b core.BMC) error {
	err := all(b.BootMediaOnce(t.Context()), b.SetPower(t.Context(), core.TurnOn))
	if err != nil {
		return err
	}
	r.machine.mu.Lock()
	defer r.machine.mu.Unlock()
	boot := r.machine.boots[len(r.machine.boots)-1]
	if boot.Source != bmc.FromMedia || boot.Legacy {
		return fmt.Errorf("the server booted from %s, legacy %t", boot.Source, boot.Legacy)
	}
	return nil
}

// changeInPOST changes the boot settings of a server that was just started. Its POST
// ends once the change was refused.
func changeInPOST(t *testing.T, r *rig) error {
	b := r.enrolled()
	refused := func() bool {
		return slices.ContainsFunc(r.bmc.Traffic().Recent, func(e bmc.Exchange) bool { return e.Verb == bmc.SetBoot && e.Status >= 400 })
	}
	start := time.Now()
	r.now.Store(func() time.Time {
		if refused() {
			return start.Add(time.Hour)
		}
		return start
	})
	err := all(b.SetPower(t.Context(), core.TurnOn), b.BootMediaOnce(t.Context()))
	if err == nil && !refused() {
		return errors.New("the change was not refused at first")
	}
	return err
}

// TestRestIsKept: the SR675 V3 is left off for a while within a restart.
func TestRestIsKept(t *testing.T) {
	r := newRig(t, must1(t)(bmc.Named("sr675")))
	b := r.enrolled()
	must(t, "on", b.SetPower(t.Context(), core.TurnOn))
	b.Close()

	options := quick
	options.Poll = time.Hour
	r.connector = redfish.New(options)
	b = r.connect(nil)
	r.bmc.ResetTraffic()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- b.SetPower(ctx, core.PowerRestart) }()
	eventually(t, func() (bool, string) {
		n := r.bmc.Traffic().Requests
		return n == 2, fmt.Sprintf("%d requests, want an off and a look", n)
	})
	cancel()
	wantKind(t, <-result, core.Timeout)
	if log := r.machine.log(); log != "on off" {
		t.Errorf("the machine was told %q, want to be off for a while", log)
	}
}

// TestETagOnDemand: a BMC that wants If-Match gets it, whoever made it.
func TestETagOnDemand(t *testing.T) {
	r := newRig(t, nil)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPatch && req.Header.Get("If-Match") == "" {
			w.WriteHeader(http.StatusPreconditionRequired)
			return
		}
		r.bmc.ServeHTTP(w, req)
	}))
	defer s.Close()
	r.endpoint.URL, r.endpoint.TLS = s.URL, core.TLSCheck{Insecure: true}
	b := r.enrolled()
	must(t, "boot once", b.BootMediaOnce(t.Context()))
	must(t, "tag", b.SetTag(t.Context(), "pool-1"))
}

// all is the first error, or nil.
func all(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
