package redfish_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/lab/bmc"
)

// withBIOS are the manners that let attributes be set.
func withBIOS() []*bmc.Manners {
	return slices.DeleteFunc(bmc.All(), func(m *bmc.Manners) bool { return m.BIOS == nil })
}

// enumerations are the attributes of a choice that can be made, in the vendor's names.
func enumerations(m *bmc.Manners) []bmc.Attribute {
	return slices.DeleteFunc(slices.Clone(m.BIOS.Attributes), func(a bmc.Attribute) bool { return a.Kind != bmc.Enumeration || a.ReadOnly })
}

// otherValue is one that an attribute does not have from the factory.
func otherValue(a bmc.Attribute) any {
	switch a.Kind {
	case bmc.Boolean:
		return !a.Default.(bool)
	case bmc.Integer:
		return int(a.Top)
	}
	return a.Values[len(a.Values)-1]
}

// baseline is a change of every attribute that can be changed.
func baseline(m *bmc.Manners) core.BIOSAttributes {
	want := core.BIOSAttributes{}
	for _, a := range m.BIOS.Attributes {
		if !a.ReadOnly && a.Kind != bmc.Password {
			want[a.Name] = otherValue(a)
		}
	}
	return want
}

// restart is the reset that callers of Set share.
func (r *rig) restart(b core.BMC) {
	r.t.Helper()
	must(r.t, "restart", b.SetPower(r.t.Context(), core.PowerRestart))
	r.pastPOST()
}

// pastPOST lets the BMC's clock pass a POST, in which some refuse changes.
func (r *rig) pastPOST() {
	later := time.Now().Add(time.Hour)
	r.now.Store(func() time.Time { return later })
}

// connectWith is enrolled for a test that changes the waits.
func (r *rig) connectWith(change func(*redfish.Options)) core.BMC {
	r.t.Helper()
	options := quick
	change(&options)
	r.connector = redfish.New(options)
	return r.enrolled()
}

func TestBIOSOfEveryVendor(t *testing.T) {
	for _, m := range withBIOS() {
		t.Run(m.Name, func(t *testing.T) {
			r := newRig(t, m)
			b := r.enrolled()
			s := b.(core.BIOSSetter)
			want := baseline(m)

			before, err := s.BIOS(t.Context())
			must(t, "read", err)
			if len(before) != len(m.BIOS.Attributes) || !slices.IsSortedFunc(before, byName) {
				t.Errorf("of %d attributes it tells %+v", len(m.BIOS.Attributes), before)
			}
			for _, told := range before {
				a, _ := m.BIOS.Named(told.Name)
				if show(told.Value) != show(a.Default) || told.Pending != nil {
					t.Errorf("%s reads %v, pending %v, want %v", told.Name, told.Value, told.Pending, a.Default)
				}
				if want := registered(a); !reflect.DeepEqual(withoutValue(told), want) {
					t.Errorf("it is told as %+v, want %+v", withoutValue(told), want)
				}
			}
			differs, err := s.CompareBIOS(t.Context(), want)
			must(t, "compare", err)
			if len(differs) != len(want) {
				t.Errorf("%d attributes differ of %d: %v", len(differs), len(want), differs)
			}
			for _, d := range differs {
				if a, _ := m.BIOS.Named(d.Name); d.Found != fmt.Sprint(a.Default) || d.Wanted != fmt.Sprint(want[d.Name]) {
					t.Errorf("%s is told as %s, not %s; plainly it is %v, not %v", d.Name, d.Found, d.Wanted, a.Default, want[d.Name])
				}
			}
			if w := r.writes(); len(w) > 0 {
				t.Fatalf("reading wrote: %q", w)
			}

			change, err := s.SetBIOS(t.Context(), want)
			must(t, "set", err)
			if !change.Reset || change.Again || len(change.Differs) != len(want) {
				t.Errorf("the change is %+v", change)
			}
			waiting, err := s.BIOS(t.Context())
			must(t, "read what waits", err)
			for _, told := range waiting {
				if next := show(want[told.Name]); show(told.Pending) != next && m.BIOS.Settings != "" {
					t.Errorf("of %s waits %v, want %v", told.Name, told.Pending, next)
				}
			}

			// Another process, after a crash before the reset, finds what waits.
			b.Close()
			b = r.enrolled()
			s = b.(core.BIOSSetter)
			change, err = s.SetBIOS(t.Context(), want)
			must(t, "set again", err)
			if !change.Reset {
				t.Errorf("the change is forgotten: %+v", change)
			}
			if m.BIOS.Settings != "" {
				r.wantWrites()
			}

			r.restart(b)
			must(t, "verify", s.VerifyBIOS(t.Context(), want))
			for name, v := range r.bmc.Attributes() {
				if asked, ok := want[name]; ok && show(v) != show(asked) {
					t.Errorf("%s is %v, want %v", name, v, asked)
				}
			}
			r.bmc.ResetTraffic()
			change, err = s.SetBIOS(t.Context(), want)
			must(t, "set what is so", err)
			if change.Reset || len(change.Differs) > 0 {
				t.Errorf("the change of nothing is %+v", change)
			}
			r.wantWrites()
		})
	}
}

func byName(a, b core.BIOSAttribute) int { return strings.Compare(a.Name, b.Name) }

func withoutValue(a core.BIOSAttribute) core.BIOSAttribute {
	a.Value, a.Pending = nil, nil
	return a
}

// registered is what a registry tells of an attribute.
func registered(a bmc.Attribute) core.BIOSAttribute {
	told := core.BIOSAttribute{Name: a.Name, Label: a.Label, Type: string(a.Kind), ReadOnly: a.ReadOnly, Values: a.Values, Secret: a.Kind == bmc.Password}
	if a.Kind == bmc.Integer {
		told.Lower, told.Upper = json.Number(fmt.Sprintf("%.0f", a.Low)), json.Number(fmt.Sprintf("%.0f", a.Top))
	}
	return told
}

// Without a registry there are names and values, of which a secret's are not told: its name
// says what it is. With one its type does, too.
func TestBIOSSecretsAreNotTold(t *testing.T) {
	plain := bmc.Attribute{Name: "PasswordStatus", Kind: bmc.String, Default: "Unlocked"}
	secrets := []bmc.Attribute{
		{Name: "SETUP001", Kind: bmc.Password, Default: "5ecretword"},
		{Name: "SetupPassword", Kind: bmc.String, Default: "5ecretword"},
		{Name: "SHA256SetupPasswordSalt", Kind: bmc.String, Default: "5ecretword"},
		{Name: "AdministratorPassword_00A1", Kind: bmc.String, Default: "5ecretword"},
		{Name: "IscsiDev1Con1ChapSecret", Kind: bmc.String, Default: "5ecretword"},
	}
	for _, registry := range []bool{true, false} {
		m := *withBIOS()[0]
		b := *m.BIOS
		m.BIOS, b.Attributes = &b, append(secrets[:len(secrets):len(secrets)], plain)
		if !registry {
			b.Registry, b.Attributes = "", b.Attributes[1:]
		}
		waits := map[string]any{}
		for _, a := range b.Attributes {
			waits[a.Name] = "an0therword"
		}
		r := newRig(t, &m, func(c *bmc.Config, _ *machine) { c.State.Setup.Waiting = waits })
		s := r.enrolled().(core.BIOSSetter)
		all, err := s.BIOS(t.Context())
		must(t, "read", err)
		for _, a := range all {
			if a.Name == plain.Name {
				if a.Secret || a.Value != plain.Default || a.Pending != "an0therword" || (a.Type != "") != registry {
					t.Errorf("with a registry %t it tells %+v", registry, a)
				}
			} else if !a.Secret || a.Value != nil || a.Pending != nil {
				t.Errorf("with a registry %t it tells the secret %+v", registry, a)
			}
		}
		if len(all) != len(b.Attributes) {
			t.Errorf("with a registry %t it tells %d of %d: %+v", registry, len(all), len(b.Attributes), all)
		}
		_, err = s.CompareBIOS(t.Context(), core.BIOSAttributes{"SHA256SetupPasswordSalt": "5ecretword"})
		wantKind(t, err, core.Invalid, "SHA256SetupPasswordSalt is a password")
	}
}

func show(v any) string {
	switch x := v.(type) {
	case int:
		return show(float64(x))
	case float64:
		return strings.TrimSuffix(time.Duration(x).String(), "ns")
	case json.Number:
		f, _ := x.Float64()
		return show(f)
	case string:
		return x
	case bool:
		return map[bool]string{true: "true", false: "false"}[x]
	}
	return ""
}

// A change of mind before the reset is written over what waits.
func TestBIOSChangeOfMind(t *testing.T) {
	for _, m := range withBIOS() {
		t.Run(m.Name, func(t *testing.T) {
			if m.BIOS.Settings == "" {
				return // what is not shown cannot be taken back
			}
			r := newRig(t, m)
			b := r.enrolled()
			s := b.(core.BIOSSetter)
			choices := enumerations(m)
			one, two := choices[0], choices[1]
			_, err := s.SetBIOS(t.Context(), core.BIOSAttributes{one.Name: otherValue(one)})
			must(t, "first", err)
			_, err = s.SetBIOS(t.Context(), core.BIOSAttributes{two.Name: otherValue(two)})
			must(t, "another step", err)
			_, err = s.SetBIOS(t.Context(), core.BIOSAttributes{one.Name: one.Default})
			must(t, "back", err)
			r.restart(b)
			want := core.BIOSAttributes{one.Name: one.Default, two.Name: otherValue(two)}
			must(t, "verify", s.VerifyBIOS(t.Context(), want))
			if got := r.bmc.Attributes(); got[one.Name] != one.Default || got[two.Name] != otherValue(two) {
				t.Errorf("the attributes are %v, want %v", got, want)
			}
		})
	}
}

// What cannot be had is refused, with all that is wrong and what comes nearest, before
// anything waits.
func TestBIOSThatCannotBe(t *testing.T) {
	for _, m := range withBIOS() {
		choice := enumerations(m)[0]
		number := m.BIOS.Attributes[slices.IndexFunc(m.BIOS.Attributes, func(a bmc.Attribute) bool { return a.Kind == bmc.Integer })]
		constant := m.BIOS.Attributes[slices.IndexFunc(m.BIOS.Attributes, func(a bmc.Attribute) bool { return a.ReadOnly && a.Kind == bmc.String })]
		right := choice.Values[1]
		for _, c := range []struct {
			name string
			want core.BIOSAttributes
			says []string
		}{
			{"a name with a slip", core.BIOSAttributes{choice.Name + "x": right}, []string{"there is no attribute " + choice.Name + "x", "is " + choice.Name + " meant?"}},
			{"a name in other letters", core.BIOSAttributes{strings.ToUpper(choice.Name): right}, []string{"is " + choice.Name + " meant?"}},
			{"another vendor's name", core.BIOSAttributes{"TurboEncabulator": "On"}, []string{"there is no attribute TurboEncabulator"}},
			{"a value with a slip", core.BIOSAttributes{choice.Name: right + "d"}, []string{choice.Name + " takes", "is " + right + " meant?"}},
			{"a number for a choice", core.BIOSAttributes{choice.Name: 1}, []string{choice.Name + " takes a text", "not 1"}},
			{"true for a choice", core.BIOSAttributes{choice.Name: true}, []string{choice.Name + " takes a text"}},
			{"a list", core.BIOSAttributes{choice.Name: []string{right}}, []string{choice.Name + " takes a text"}},
			{"a text for a number", core.BIOSAttributes{number.Name: "many"}, []string{number.Name + " takes a number, not many"}},
			{"too much", core.BIOSAttributes{number.Name: number.Top + 1}, []string{number.Name + " takes numbers from"}},
			{"read-only", core.BIOSAttributes{constant.Name: "other"}, []string{constant.Name + " is read-only"}},
			{"half a number", core.BIOSAttributes{number.Name: number.Low + 0.5}, []string{number.Name + " takes a whole number"}},
			{"a password", core.BIOSAttributes{"SetupPassword": "s3cretword"}, []string{"SetupPassword is a password"}},
			{"several", core.BIOSAttributes{"NoSuchThing1": 1, number.Name: "many"}, []string{"NoSuchThing1", number.Name + " takes a number"}},
		} {
			t.Run(m.Name+"/"+c.name, func(t *testing.T) {
				r := newRig(t, m)
				s := r.enrolled().(core.BIOSSetter)
				_, err := s.CompareBIOS(t.Context(), c.want)
				wantKind(t, err, core.Invalid, append(c.says, "compare BIOS", r.endpoint.URL, "; 'metalpool node bios NODE' lists what it has")...)
				_, err = s.SetBIOS(t.Context(), c.want)
				wantKind(t, err, core.Invalid, append(c.says, "set BIOS", r.endpoint.URL)...)
				r.wantWrites()
				wantRefused(t, err)
				if err != nil && strings.Contains(err.Error(), "s3cretword") {
					t.Errorf("the error tells a password: %v", err)
				}
				if got := r.bmc.State().Setup; len(got.Waiting) > 0 || len(got.Tasks) > 0 {
					t.Errorf("this waits: %+v", got)
				}
			})
		}
	}
}

// Of a server without a registry only its BMC knows what it takes: what that refuses was
// not changed, and is told with the attribute it is about.
func TestBIOSWithoutARegistry(t *testing.T) {
	for _, like := range withBIOS() {
		t.Run(like.Name, func(t *testing.T) {
			m, b := *like, *like.BIOS
			b.Registry, m.BIOS = "", &b
			r := newRig(t, &m)
			s := r.enrolled().(core.BIOSSetter)
			one, two := enumerations(&m)[0], enumerations(&m)[1]
			_, err := s.SetBIOS(t.Context(), core.BIOSAttributes{one.Name: "Maybe", two.Name: otherValue(two)})
			wantKind(t, err, core.Invalid, "set BIOS", "it does not take "+one.Name+" = Maybe; the BMC said", r.endpoint.URL)
			wantRefused(t, err)
			if got := r.bmc.State().Setup; len(got.Waiting) > 0 || len(got.Tasks) > 0 {
				t.Errorf("this waits: %+v", got)
			}
			_, err = s.SetBIOS(t.Context(), core.BIOSAttributes{"NoSuchThing": "On"})
			wantKind(t, err, core.Invalid, "there is no attribute NoSuchThing")
			wantRefused(t, err)
		})
	}
}

// What a BMC cannot do just now may be had later: it was not changed, and nothing is said
// against what was asked.
func TestBIOSRefusedForAnotherReason(t *testing.T) {
	r := newRig(t, nil)
	s := r.enrolled().(core.BIOSSetter)
	r.fault(bmc.Fault{On: bmc.SetBIOS, Kind: bmc.Fail, Status: 409})
	_, err := s.SetBIOS(t.Context(), core.BIOSAttributes{"SRIOV": "Enabled"})
	wantKind(t, err, core.Backend, "set BIOS", "409")
	wantRefused(t, err)
	// Its session is gone in the middle.
	r.fault(bmc.Fault{On: bmc.SetBIOS, Kind: bmc.Unauthorized})
	_, err = s.SetBIOS(t.Context(), core.BIOSAttributes{"SRIOV": "Enabled"})
	wantKind(t, err, core.Denied, "set BIOS", "401")
	wantRefused(t, err)
	r.fault(bmc.Fault{On: bmc.SetBIOS, Kind: bmc.Fail})
	_, err = s.SetBIOS(t.Context(), core.BIOSAttributes{"SRIOV": "Enabled"})
	wantKind(t, err, core.Backend, "set BIOS", "500")
	if errors.Is(err, core.ErrRefused) {
		t.Errorf("nobody knows whether it was taken: %v", err)
	}
}

func wantRefused(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, core.ErrRefused) {
		t.Errorf("error %v is not %v", err, core.ErrRefused)
	}
}

// A string that spells the right type is as good: what declares it may know texts only.
func TestBIOSTextsThatSpell(t *testing.T) {
	r := newRig(t, nil)
	b := r.enrolled()
	s := b.(core.BIOSSetter)
	want := core.BIOSAttributes{"QuietBoot": "false", "BootDelaySeconds": "7"}
	_, err := s.SetBIOS(t.Context(), want)
	must(t, "set", err)
	r.restart(b)
	must(t, "verify", s.VerifyBIOS(t.Context(), want))
	if got := r.bmc.Attributes(); got["QuietBoot"] != false || got["BootDelaySeconds"] != 7.0 {
		t.Errorf("the attributes are %v", got)
	}
}

func TestNoBIOS(t *testing.T) {
	m, err := bmc.Named("nokia")
	must(t, "manners", err)
	r := newRig(t, m)
	s := r.enrolled().(core.BIOSSetter)
	_, err = s.SetBIOS(t.Context(), core.BIOSAttributes{"HyperThreading": "Enabled"})
	wantKind(t, err, core.Backend, "it has no BIOS attributes")
	wantNoFacet(t, err)
	_, err = s.BIOS(t.Context())
	wantKind(t, err, core.Backend, "read BIOS", "it has no BIOS attributes")
	wantNoFacet(t, err)
}

// Settings that were taken and are not applied are told, each with what there is.
func TestBIOSNotApplied(t *testing.T) {
	for _, m := range withBIOS() {
		for _, fault := range []bmc.Fault{{On: bmc.SetBIOS, Kind: bmc.Drop, Count: bmc.Forever}, {On: bmc.Reset, Kind: bmc.Forget, Count: bmc.Forever}} {
			t.Run(m.Name+"/"+string(fault.Kind), func(t *testing.T) {
				r := newRig(t, m)
				b := r.enrolled()
				s := b.(core.BIOSSetter)
				r.fault(fault)
				a := enumerations(m)[0]
				want := core.BIOSAttributes{a.Name: otherValue(a)}
				change, err := s.SetBIOS(t.Context(), want)
				must(t, "set", err)
				if !change.Reset {
					t.Fatalf("the change is %+v", change)
				}
				r.restart(b)
				err = s.VerifyBIOS(t.Context(), want)
				wantKind(t, err, core.Backend, "verify BIOS", "are not applied", fmt.Sprintf("%s is %v, not %v", a.Name, a.Default, otherValue(a)))

				r.bmc.Faults().Clear()
				_, err = s.SetBIOS(t.Context(), want)
				must(t, "set once more", err)
				r.restart(b)
				must(t, "verify once more", s.VerifyBIOS(t.Context(), want))
			})
		}
	}
}

// Without a reset nothing is applied, and Verify says what it waited for.
func TestBIOSWithoutAReset(t *testing.T) {
	for _, m := range withBIOS() {
		t.Run(m.Name, func(t *testing.T) {
			if m.BIOS.Settings == "" {
				return // it does not show what waits, so that is as good as not applied
			}
			r := newRig(t, m)
			s := r.connectWith(func(o *redfish.Options) { o.Apply = 50 * time.Millisecond }).(core.BIOSSetter)
			a := enumerations(m)[0]
			want := core.BIOSAttributes{a.Name: otherValue(a)}
			_, err := s.SetBIOS(t.Context(), want)
			must(t, "set", err)
			wantKind(t, s.VerifyBIOS(t.Context(), want), core.Timeout, "verify BIOS", "it still shows")
		})
	}
}

func TestBIOSJobs(t *testing.T) {
	m, err := bmc.Named("idrac9")
	must(t, "manners", err)
	want := core.BIOSAttributes{"LogicalProc": "Disabled"}
	for _, c := range []struct {
		name string
		kind bmc.Kind
		says []string
		as   core.Kind
	}{
		{"fails", bmc.TaskFails, []string{"are not applied", "LogicalProc is Enabled, not Disabled", "its job JID_1 Failed: Job failed."}, core.Backend},
		{"hangs", bmc.TaskHangs, []string{"it still shows its job JID_1 Running, for LogicalProc"}, core.Timeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, m)
			b := r.connectWith(func(o *redfish.Options) { o.Apply = 100 * time.Millisecond })
			s := b.(core.BIOSSetter)
			r.fault(bmc.Fault{On: bmc.SetBIOS, Kind: c.kind})
			_, err := s.SetBIOS(t.Context(), want)
			must(t, "set", err)
			r.restart(b)
			var told []string
			ctx := core.WhileAwaiting(t.Context(), func(what string) { told = append(told, what) })
			wantKind(t, s.VerifyBIOS(ctx, want), c.as, c.says...)
			if !slices.ContainsFunc(told, func(what string) bool { return strings.Contains(what, "LogicalProc") }) {
				t.Errorf("while it waited it told %q", told)
			}
		})
	}
	// Pending values that somebody left without a job would wait for ever.
	t.Run("is made for what waits", func(t *testing.T) {
		r := newRig(t, m, func(c *bmc.Config, _ *machine) { c.State.Setup.Waiting = map[string]any{"LogicalProc": "Disabled"} })
		b := r.enrolled()
		s := b.(core.BIOSSetter)
		for range 2 {
			change, err := s.SetBIOS(t.Context(), want)
			must(t, "set", err)
			if !change.Reset {
				t.Fatalf("the change is %+v", change)
			}
		}
		r.wantWrites("POST bios 200")
		r.restart(b)
		must(t, "verify", s.VerifyBIOS(t.Context(), want))
	})
	// A job that is under way is waited for.
	t.Run("is under way", func(t *testing.T) {
		r := newRig(t, m)
		b := r.enrolled()
		s := b.(core.BIOSSetter)
		_, err := s.SetBIOS(t.Context(), want)
		must(t, "set", err)
		r.restart(b)
		more := core.BIOSAttributes{"AcPwrRcvryUserDelay": 90}
		_, err = s.SetBIOS(t.Context(), more)
		must(t, "set more", err)
		r.restart(b)
		must(t, "verify more", s.VerifyBIOS(t.Context(), more))
		must(t, "verify", s.VerifyBIOS(t.Context(), want))
	})
}

// A crash at any request of a change costs nothing but that the change is made again.
func TestBIOSCrashes(t *testing.T) {
	for _, m := range withBIOS() {
		t.Run(m.Name, func(t *testing.T) {
			a := enumerations(m)[0]
			want := core.BIOSAttributes{a.Name: otherValue(a)}
			for _, after := range []bool{false, true} {
				r := newRig(t, m)
				b := r.enrolled()
				s := b.(core.BIOSSetter)
				r.fault(bmc.Fault{On: bmc.SetBIOS, Kind: bmc.Cut, After: after})
				_, first := s.SetBIOS(t.Context(), want)
				if !after {
					wantKind(t, first, core.Transient)
				}
				b.Close()
				b = r.enrolled()
				s = b.(core.BIOSSetter)
				change, err := s.SetBIOS(t.Context(), want)
				must(t, "set again", err)
				if !change.Reset {
					t.Fatalf("the change is %+v", change)
				}
				r.restart(b)
				must(t, "verify", s.VerifyBIOS(t.Context(), want))
			}
		})
	}
}

func wantNoFacet(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, core.ErrNoFacet) {
		t.Errorf("error %v is not %v", err, core.ErrNoFacet)
	}
}

// Facets ask the fence as all verbs do, and nothing is sent that it refuses.
func TestFacetsAreFenced(t *testing.T) {
	lost := &core.Error{Op: "fence", Kind: core.LeaseLost}
	for _, name := range []string{"idrac9", "ilo6", "xcc", "supermicro-x12"} {
		m, err := bmc.Named(name)
		must(t, "manners", err)
		r := newRig(t, m)
		asked := 0
		b := r.connect(func(context.Context) (time.Time, error) { asked++; return time.Time{}, lost })
		a := enumerations(m)[0]
		_, err = b.(core.BIOSSetter).SetBIOS(t.Context(), core.BIOSAttributes{a.Name: otherValue(a)})
		wantKind(t, err, core.LeaseLost)
		_, err = b.(core.BootOrderSetter).SetBootOrder(t.Context(), []string{"Pxe"})
		wantKind(t, err, core.LeaseLost)
		_, err = b.(core.SecureBootSetter).SetSecureBoot(t.Context(), false)
		wantKind(t, err, core.LeaseLost)
		_, err = b.(core.VolumeSetter).SetVolumes(t.Context(), core.WantedVolumes{Volumes: []core.WantedVolume{{RAID: "RAID0", Count: 1}}})
		wantKind(t, err, core.LeaseLost)
		r.wantWrites()
		if asked != 4 {
			t.Errorf("%s: the fence was asked %d times, want 4", name, asked)
		}
	}
}
