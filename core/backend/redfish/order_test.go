package redfish_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/lab/bmc"
)

func TestBootOrderOfEveryVendor(t *testing.T) {
	for _, m := range bmc.All() {
		t.Run(m.Name, func(t *testing.T) {
			r := newRig(t, m)
			b := r.enrolled()
			s := b.(core.BootOrderSetter)
			options, err := s.BootOptions(t.Context())
			must(t, "read", err)
			if len(options) != 3 || options[0].Alias != "Hdd" || options[2].Name != "Network" {
				t.Fatalf("the boot options are %+v", options)
			}
			want := []string{"pxe", "Hard Drive"}
			differs, err := s.CompareBootOrder(t.Context(), want)
			must(t, "compare", err)
			if text := core.Differences(differs); text != "the boot order is Hard Drive, Virtual CD, Network, not Network, Hard Drive, Virtual CD" {
				t.Errorf("it differs: %s", text)
			}
			r.wantWrites()

			change, err := s.SetBootOrder(t.Context(), want)
			must(t, "set", err)
			if change.Reset != m.OrderWaits || change.Again || len(change.Differs) != 1 {
				t.Errorf("the change is %+v", change)
			}
			writes := len(r.writes())
			again, err := s.SetBootOrder(t.Context(), want)
			must(t, "set again", err)
			if again.Reset != m.OrderWaits || len(r.writes()) != writes {
				t.Errorf("the change is %+v, after %q", again, r.writes())
			}
			r.restart(b)
			must(t, "verify", s.VerifyBootOrder(t.Context(), want))
			if got := r.bmc.State().BootOrder; !slices.Equal(got, []string{"Boot0003", "Boot0001", "Boot0002"}) {
				t.Errorf("the boot order is %v", got)
			}
			last := r.machine.boots[len(r.machine.boots)-1]
			if last.Source != bmc.FromPXE {
				t.Errorf("the server booted from %s", last.Source)
			}
			if change, err = s.SetBootOrder(t.Context(), want); err != nil || change.Reset || len(change.Differs) > 0 {
				t.Errorf("the change of nothing is %+v, %v", change, err)
			}
		})
	}
}

func TestBootOrderThatCannotBe(t *testing.T) {
	for _, want := range [][]string{{"Pxe", "Floppy"}, {""}, {}, nil} {
		r := newRig(t, nil)
		_, err := r.enrolled().(core.BootOrderSetter).SetBootOrder(t.Context(), want)
		wantKind(t, err, core.Invalid, "it has no boot option", `Boot0003 "Network" Pxe`)
		wantRefused(t, err)
		r.wantWrites()
	}
}

// What a BMC says no to was not changed.
func TestOrderAndSecureBootRefused(t *testing.T) {
	for _, m := range bmc.All() {
		t.Run(m.Name, func(t *testing.T) {
			r := newRig(t, m)
			b := r.enrolled()
			r.fault(bmc.Fault{On: bmc.SetOrder, Kind: bmc.Fail, Status: 400})
			_, err := b.(core.BootOrderSetter).SetBootOrder(t.Context(), []string{"Pxe"})
			wantKind(t, err, core.Backend, "set boot order", "400")
			wantRefused(t, err)
			if m.SecureBoot == nil {
				return
			}
			r.fault(bmc.Fault{On: bmc.SetSecureBoot, Kind: bmc.Fail, Status: 400})
			_, err = b.(core.SecureBootSetter).SetSecureBoot(t.Context(), m.SecureBoot.SetupMode)
			if !m.SecureBoot.SetupMode {
				wantKind(t, err, core.Backend, "set Secure Boot", "400")
			}
			wantRefused(t, err)
		})
	}
}

func TestBootOrderNotApplied(t *testing.T) {
	for _, name := range []string{"idrac10", "xcc"} {
		for _, fault := range []bmc.Fault{{On: bmc.SetOrder, Kind: bmc.Drop}, {On: bmc.Reset, Kind: bmc.Forget, Count: bmc.Forever}} {
			t.Run(name+"/"+string(fault.Kind), func(t *testing.T) {
				m, err := bmc.Named(name)
				must(t, "manners", err)
				r := newRig(t, m)
				b := r.enrolled()
				s := b.(core.BootOrderSetter)
				r.fault(fault)
				_, err = s.SetBootOrder(t.Context(), []string{"Pxe"})
				must(t, "set", err)
				r.restart(b)
				wantKind(t, s.VerifyBootOrder(t.Context(), []string{"Pxe"}), core.Backend, "are not applied", "not Network, Hard Drive")
			})
		}
	}
}

// One job at a time: the boot order comes after what waits already, and undoes nothing.
func TestBootOrderBehindAnotherJob(t *testing.T) {
	m, err := bmc.Named("idrac10")
	must(t, "manners", err)
	r := newRig(t, m)
	b := r.enrolled()
	settings := core.BIOSAttributes{"LogicalProc": "Disabled"}
	_, err = b.(core.BIOSSetter).SetBIOS(t.Context(), settings)
	must(t, "set BIOS", err)
	s := b.(core.BootOrderSetter)
	change, err := s.SetBootOrder(t.Context(), []string{"Pxe"})
	must(t, "set", err)
	if !change.Reset || !change.Again {
		t.Fatalf("the change is %+v", change)
	}
	r.restart(b)
	must(t, "verify BIOS", b.(core.BIOSSetter).VerifyBIOS(t.Context(), settings))
	change, err = s.SetBootOrder(t.Context(), []string{"Pxe"})
	must(t, "set after the reset", err)
	if !change.Reset || change.Again {
		t.Fatalf("the change is %+v", change)
	}
	r.restart(b)
	must(t, "verify", s.VerifyBootOrder(t.Context(), []string{"Pxe"}))
}

func TestSecureBootOfEveryVendor(t *testing.T) {
	for _, m := range bmc.All() {
		t.Run(m.Name, func(t *testing.T) {
			r := newRig(t, m)
			b := r.enrolled()
			s := b.(core.SecureBootSetter)
			if m.SecureBoot == nil {
				_, err := s.SetSecureBoot(t.Context(), true)
				wantKind(t, err, core.Backend, "it has no Secure Boot")
				wantNoFacet(t, err)
				return
			}
			if m.SecureBoot.SetupMode {
				_, err := s.SetSecureBoot(t.Context(), true)
				wantKind(t, err, core.Invalid, "has no keys", "SetupMode")
				wantRefused(t, err)
				_, err = s.CompareSecureBoot(t.Context(), true)
				wantKind(t, err, core.Invalid, "has no keys", "SetupMode")
				r.wantWrites()
				return
			}
			for _, want := range []bool{false, true} {
				r.bmc.ResetTraffic()
				for range 2 {
					change, err := s.SetSecureBoot(t.Context(), want)
					must(t, "set", err)
					if !change.Reset || len(change.Differs) != 1 {
						t.Errorf("the change to %t is %+v", want, change)
					}
				}
				if w := r.writes(); len(w) != 1 {
					t.Errorf("the BMC got %q", w)
				}
				r.restart(b)
				must(t, "verify", s.VerifySecureBoot(t.Context(), want))
				state, err := s.SecureBoot(t.Context())
				must(t, "read", err)
				if state.InForce != want || state.Enabled != want || state.Mode != "UserMode" {
					t.Errorf("Secure Boot is %+v", state)
				}
			}
		})
	}
}

func TestSecureBootNotApplied(t *testing.T) {
	for _, fault := range []bmc.Fault{{On: bmc.SetSecureBoot, Kind: bmc.Drop}, {On: bmc.Reset, Kind: bmc.Forget, Count: bmc.Forever}} {
		t.Run(string(fault.Kind), func(t *testing.T) {
			r := newRig(t, nil)
			b := r.enrolled()
			s := b.(core.SecureBootSetter)
			r.fault(fault)
			_, err := s.SetSecureBoot(t.Context(), false)
			must(t, "set", err)
			r.restart(b)
			wantKind(t, s.VerifySecureBoot(t.Context(), false), core.Backend, "Secure Boot is on, not off")
		})
	}
	t.Run("no reset", func(t *testing.T) {
		r := newRig(t, nil)
		s := r.connectWith(func(o *redfish.Options) { o.Apply = 50 * time.Millisecond }).(core.SecureBootSetter)
		_, err := s.SetSecureBoot(t.Context(), false)
		must(t, "set", err)
		wantKind(t, s.VerifySecureBoot(t.Context(), false), core.Timeout, "Secure Boot on, off from the next start on")
	})
}

// TestSettingsIgnored: verbs believe what they see, not what they are told.
func TestSettingsIgnored(t *testing.T) {
	for verb, set := range map[bmc.Verb]func(*testing.T, core.BMC) (core.Change, error){
		bmc.SetBIOS: func(t *testing.T, b core.BMC) (core.Change, error) {
			return b.(core.BIOSSetter).SetBIOS(t.Context(), core.BIOSAttributes{"SRIOV": "Enabled"})
		},
		bmc.SetOrder: func(t *testing.T, b core.BMC) (core.Change, error) {
			return b.(core.BootOrderSetter).SetBootOrder(t.Context(), []string{"Pxe"})
		},
		bmc.SetSecureBoot: func(t *testing.T, b core.BMC) (core.Change, error) {
			return b.(core.SecureBootSetter).SetSecureBoot(t.Context(), false)
		},
	} {
		t.Run(string(verb), func(t *testing.T) {
			r := newRig(t, nil)
			b := r.connectWith(func(o *redfish.Options) { o.Settle = 20 * time.Millisecond })
			r.fault(bmc.Fault{On: verb, Kind: bmc.Ignore})
			change, err := set(t, b)
			wantKind(t, err, core.Backend, "it took the command")
			if change.Reset || len(change.Differs) > 0 {
				t.Errorf("a failed change is %+v", change)
			}
			_, err = set(t, b)
			must(t, "once more", err)
		})
	}
}

func TestFirmwareOfEveryVendor(t *testing.T) {
	for _, m := range bmc.All() {
		t.Run(m.Name, func(t *testing.T) {
			r := newRig(t, m)
			s := r.enrolled().(core.FirmwareReader)
			list, err := s.Firmware(t.Context())
			must(t, "read", err)
			if len(list) < 2 || list[0] != (core.Firmware{ID: "BIOS", Name: "BIOS", Version: "1.2.3"}) || list[1].ID != "BMC" || list[1].Version != m.Firmware {
				t.Errorf("the firmware is %+v", list)
			}
			for _, f := range list {
				if id := strings.ToLower(f.ID + f.Name); strings.Contains(id, "previous") || strings.Contains(id, "backup") || strings.Contains(id, "redundant") {
					t.Errorf("%+v is not installed", f)
				}
			}
			differs, err := s.CompareFirmware(t.Context(), []core.FirmwareMinimum{{Component: "bios", Version: "1.2"}, {Component: "BMC", Version: m.Firmware}})
			must(t, "compare", err)
			if len(differs) > 0 {
				t.Errorf("what is new enough differs: %v", differs)
			}
			differs, err = s.CompareFirmware(t.Context(), []core.FirmwareMinimum{{Component: "BIOS", Version: "1.10"}})
			must(t, "compare", err)
			if got := core.Differences(differs); !strings.Contains(got, "the firmware of BIOS is 1.2.3, not at least 1.10") {
				t.Errorf("it differs: %s", got)
			}
			r.wantWrites()
		})
	}
}

func TestFirmwareOfComponents(t *testing.T) {
	for _, c := range []struct {
		vendor, component, version string
		want                       string // the difference, or the error
		kind                       core.Kind
	}{
		{"idrac9", "100170", "19.5.12", "", ""},
		{"idrac9", "X520/I350", "19.6", "the firmware of Intel(R) Ethernet 10G 4P X520/I350 rNDC is 19.5.12, not at least 19.6", ""},
		{"ilo6", "System ROM", "1.62", "", ""},
		{"ilo6", "system rom", "U46 v2.0", "the firmware of System ROM is U46 v1.62 (08/11/2022), not at least U46 v2.0", ""},
		{"ilo6", "System ROM", "U30 v1.0", "U46 v1.62 (08/11/2022), which cannot be compared, not at least U30 v1.0", ""},
		{"xcc", "BMC-Primary", "4.0", "", ""},
		{"xcc", "LXPM", "3.31", "the firmware of LXPM is PDL132F-3.30, not at least 3.31", ""},
		{"ilo6", "System RAM", "1.0", `there is no firmware "System RAM" (is System ROM meant?)`, core.Invalid},
		{"ilo6", "System ROM", "newest", "newest is no version", core.Invalid},
		{"ilo6", "", "1.0", `there is no firmware ""`, core.Invalid},
	} {
		t.Run(c.vendor+" "+c.component+" "+c.version, func(t *testing.T) {
			m, err := bmc.Named(c.vendor)
			must(t, "manners", err)
			differs, err := newRig(t, m).enrolled().(core.FirmwareReader).CompareFirmware(t.Context(), []core.FirmwareMinimum{{Component: c.component, Version: c.version}})
			if c.kind != "" {
				wantKind(t, err, c.kind, c.want)
				return
			}
			must(t, "compare", err)
			if got := core.Differences(differs); got != c.want && (c.want == "" || !strings.HasSuffix(got, c.want)) {
				t.Errorf("it differs: %s; want %s", got, c.want)
			}
		})
	}
}
