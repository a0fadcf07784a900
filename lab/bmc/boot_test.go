package bmc

import "testing"

func TestNextBoot(t *testing.T) {
	for _, c := range []struct {
		name     string
		patches  []string
		inserted bool
		first    Source
		second   Source
		legacy   bool
	}{
		{name: "nothing set", first: FromDisk, second: FromDisk},
		{name: "media inserted but not asked for", inserted: true, first: FromDisk, second: FromDisk},
		{name: "media once", patches: []string{`{"BootSourceOverrideTarget":"Cd","BootSourceOverrideEnabled":"Once"}`}, inserted: true, first: FromMedia, second: FromDisk},
		{name: "media, Enabled left out", patches: []string{`{"BootSourceOverrideTarget":"Cd"}`}, inserted: true, first: FromMedia, second: FromDisk},
		{name: "media always", patches: []string{`{"BootSourceOverrideTarget":"Cd","BootSourceOverrideEnabled":"Continuous"}`}, inserted: true, first: FromMedia, second: FromMedia},
		{name: "media not inserted", patches: []string{`{"BootSourceOverrideTarget":"Cd","BootSourceOverrideEnabled":"Once"}`}, first: FromDisk, second: FromDisk},
		{name: "USB stick not inserted", patches: []string{`{"BootSourceOverrideTarget":"Usb","BootSourceOverrideEnabled":"Once"}`}, inserted: true, first: FromDisk, second: FromDisk},
		{name: "network", patches: []string{`{"BootSourceOverrideTarget":"Pxe","BootSourceOverrideEnabled":"Once"}`}, first: FromPXE, second: FromDisk},
		{name: "setup", patches: []string{`{"BootSourceOverrideTarget":"BiosSetup","BootSourceOverrideEnabled":"Once"}`}, first: FromNothing, second: FromDisk},
		{name: "set and disabled", patches: []string{`{"BootSourceOverrideTarget":"Pxe","BootSourceOverrideEnabled":"Continuous"}`, `{"BootSourceOverrideEnabled":"Disabled"}`}, first: FromDisk, second: FromDisk},
		{name: "legacy", patches: []string{`{"BootSourceOverrideMode":"Legacy"}`}, first: FromDisk, second: FromDisk, legacy: true},
		{name: "order", patches: []string{`{"BootOrder":["Boot0003","Boot0001"]}`}, first: FromPXE, second: FromPXE},
		{name: "order without anything there", patches: []string{`{"BootOrder":["Boot0002"]}`}, first: FromNothing, second: FromNothing},
		{name: "order with media", patches: []string{`{"BootOrder":["Boot0002","Boot0001"]}`}, inserted: true, first: FromMedia, second: FromMedia},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			if c.inserted {
				r.ok("POST", r.slotPath(0)+"/Actions/VirtualMedia.InsertMedia", insertBody(r.images.image()))
			}
			for _, p := range c.patches {
				r.ok("PATCH", r.sys(), `{"Boot":`+p+`}`)
			}
			r.resetTo("On")
			if got := r.machine.lastBoot(t); got.Source != c.first || got.Legacy != c.legacy {
				t.Errorf("first start: %+v", got)
			}
			r.resetTo("ForceRestart")
			if got := r.machine.lastBoot(t); got.Source != c.second || got.Legacy != c.legacy {
				t.Errorf("second start: %+v", got)
			}
		})
	}
}

func TestARestartFromWithinUsesTheOverride(t *testing.T) {
	r := newRig(t, nil)
	r.resetTo("On")
	r.ok("PATCH", r.sys(), `{"Boot":{"BootSourceOverrideTarget":"Pxe","BootSourceOverrideEnabled":"Once"}}`)
	r.machine.settle(On) // the system on the machine restarts by itself
	if got := r.machine.lastBoot(t); got.Source != FromPXE {
		t.Errorf("booted %+v", got)
	}
	if got := r.bmc.State().Boot; got != noOverride {
		t.Errorf("after its use the override is %+v", got)
	}
}
