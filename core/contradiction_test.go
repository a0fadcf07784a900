package core_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// Steps of one profile that set one server to two things are refused when they are
// declared: afterwards its BMC would have the blame.
func TestStepsThatContradictEachOther(t *testing.T) {
	only := func(s core.Step, o core.StepServers) core.Step { s.Only = &o; return s }
	on, off := bios("on", core.BIOSAttributes{"Turbo": "Enabled", "Same": 1}), bios("off", core.BIOSAttributes{"Turbo": "Disabled", "Same": 1})
	first := func(name string, options ...string) core.Step {
		return core.Step{Name: name, BootOrder: &core.BootOrderStep{First: options}}
	}
	volumes := func(name, raid string, preserve ...string) core.Step {
		return core.Step{Name: name, RAID: &core.RAIDStep{Volumes: []core.RAIDVolume{{RAID: raid, Count: 2}}, Preserve: preserve}}
	}
	dell, racked := core.StepServers{Manufacturer: "Dell*"}, func(rack string) core.StepServers {
		return core.StepServers{Labels: map[string]string{"rack": rack}}
	}
	for name, tt := range map[string]struct {
		a, b core.Step
		says string
	}{
		"two values":                 {on, off, "the steps on and off, which one server may both be for, disagree on Turbo: Enabled and Disabled; leave it to one of them"},
		"one for all, one for some":  {on, only(off, dell), "disagree on Turbo"},
		"makers that both fit":       {only(on, dell), only(off, core.StepServers{Manufacturer: "*Inc."}), "disagree on Turbo"},
		"a maker and a label":        {only(on, dell), only(off, racked("r1")), "disagree on Turbo"},
		"other makers":               {only(on, dell), only(off, core.StepServers{Manufacturer: "HPE"}), ""},
		"other models of one maker":  {only(on, core.StepServers{Manufacturer: "Dell*", Model: "* R6?0"}), only(off, core.StepServers{Manufacturer: "Dell*", Model: "* R7?0"}), ""},
		"other racks":                {only(on, racked("r1")), only(off, racked("r2")), ""},
		"the same in other words":    {bios("a", core.BIOSAttributes{"Quiet": true, "Delay": 7}), bios("b", core.BIOSAttributes{"Quiet": "true", "Delay": "7"}), ""},
		"a number as it is stored":   {bios("a", core.BIOSAttributes{"Size": json.Number("4194304"), "Share": json.Number("0.5")}), bios("b", core.BIOSAttributes{"Size": 4194304, "Share": 0.5}), ""},
		"a number as programs spell": {bios("a", core.BIOSAttributes{"Size": json.Number("4194304.0"), "Delay": json.Number("1e3")}), bios("b", core.BIOSAttributes{"Size": 4194304, "Delay": json.Number("1000")}), ""},
		"two boot orders":            {first("a", "Hdd", "Pxe"), first("b", "Pxe"), "the steps a and b, which one server may both be for, disagree on the boot order: Hdd, Pxe and Pxe; make one step of them"},
		"more of one boot order":     {first("a", "Hdd", "Pxe"), first("b", "hdd"), ""},
		"two sets of volumes":        {volumes("a", "RAID1"), volumes("b", "RAID0"), "disagree on the volumes"},
		"the same, but what is kept": {volumes("a", "RAID1"), volumes("b", "RAID1", "S1"), "disagree on the volumes"},
		"the same volumes":           {volumes("a", "RAID1"), volumes("b", "RAID1"), ""},
		"two minimums of firmware":   {core.Step{Name: "a", Firmware: &core.FirmwareStep{Minimum: map[string]string{"BIOS": "1"}}}, core.Step{Name: "b", Firmware: &core.FirmwareStep{Minimum: map[string]string{"BIOS": "2"}}}, ""},
		"both want Secure Boot off":  {core.Step{Name: "a", SecureBoot: &core.SecureBootStep{}}, core.Step{Name: "b", SecureBoot: &core.SecureBootStep{}}, ""},
		"steps of two kinds":         {on, first("b", "Pxe"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := bareRack(t, 1)
			e, _ := p.engine()
			d := core.Declaration{By: core.DeclaredIn("test"), Steps: []core.Step{tt.a, tt.b}, Profiles: []core.Profile{{Name: "base", Steps: []string{tt.a.Name, tt.b.Name}}}}
			_, err := e.Apply(t.Context(), d, core.ApplyOptions{})
			switch {
			case tt.says == "" && err != nil:
				t.Errorf("it is refused: %v", err)
			case tt.says != "" && (!core.Is(err, core.Invalid) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "profile base")):
				t.Errorf("got %v", err)
			}
			// In two profiles they are nobody's matter.
			d.Profiles = []core.Profile{{Name: "one", Steps: []string{tt.a.Name}}, {Name: "two", Steps: []string{tt.b.Name}}}
			if _, err := e.Apply(t.Context(), d, core.ApplyOptions{}); err != nil {
				t.Errorf("in two profiles: %v", err)
			}
		})
	}
}
