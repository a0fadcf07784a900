package core_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metalpool/metalpool/core"
)

// ordered applies steps under one profile and tells the order in which they run.
func ordered(t *testing.T, given []core.Step) (names []string, err error) {
	t.Helper()
	steps, err := core.OrderSteps(given)
	for _, s := range steps {
		names = append(names, s.Name)
	}
	return names, err
}

// As many steps as a declaration has room for take no time that anybody notices: they are put
// in order while everybody else waits for the store. Looked at in pairs they would take an hour.
func TestOrderOfManySteps(t *testing.T) {
	const many = 200_000
	p := core.Profile{Name: "base"}
	given := make([]core.Step, many)
	for i := range given {
		p.Steps = append(p.Steps, fmt.Sprint("s", i))
		given[i] = core.Step{Name: p.Steps[i], After: []string{fmt.Sprint("s", i+1)}, Script: &core.ScriptStep{Run: "true"}}
	}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	steps, err := core.OrderSteps(given)
	if err != nil || len(steps) != many || steps[0].Name != p.Steps[many-1] || steps[many-1].Name != "s0" {
		t.Errorf("%d are in order, %v", len(steps), err)
	}
}

func TestOrderOfSteps(t *testing.T) {
	step := func(name string, after ...string) core.Step {
		return core.Step{Name: name, After: after, Script: &core.ScriptStep{Run: "true"}}
	}
	early := func(name string, after ...string) core.Step {
		return core.Step{Name: name, After: after, Phase: core.PhasePrepare, HTTP: &core.HTTPStep{HTTPRequest: core.HTTPRequest{URL: "http://cmdb"}}}
	}
	for name, tt := range map[string]struct {
		given []core.Step
		want  string // names, or what is wrong
	}{
		"as they are given":            {[]core.Step{step("b"), step("a"), step("c")}, "b a c"},
		"after another":                {[]core.Step{step("a", "c"), step("b"), step("c")}, "b c a"},
		"after one that is not chosen": {[]core.Step{step("a", "elsewhere"), step("b")}, "a b"},
		"by phase":                     {[]core.Step{step("a"), early("b"), step("c", "b")}, "b a c"},
		"against the phases":           {[]core.Step{step("a"), early("b", "a")}, "step b is to run after a, whose phase deployed comes after prepare"},
		"the server itself first":      {[]core.Step{early("a"), bios("b", nil)}, "b a"},
		"the server itself last":       {[]core.Step{early("a"), {Name: "b", After: []string{"a"}, BIOS: &core.BIOSStep{}}}, "step b is to run after a, and steps of kind bios come before those of kind http"},
		"in a circle":                  {[]core.Step{step("x"), step("a", "c"), step("b", "a"), step("c", "b")}, "steps wait for each other: a after c after b after a"},
		"behind a circle":              {[]core.Step{step("x", "a"), step("a", "b"), step("b", "a")}, "steps wait for each other: a after b after a"},
	} {
		t.Run(name, func(t *testing.T) {
			names, err := ordered(t, tt.given)
			if err != nil && (!core.Is(err, core.Invalid) || !strings.Contains(err.Error(), tt.want)) || err == nil && strings.Join(names, " ") != tt.want {
				t.Errorf("got %q, %v; want %s", names, err, tt.want)
			}
		})
	}
}

// FuzzOrderOfSteps holds every order to what it promises: each step once, and none before
// what it comes after. Two bytes say that one step comes after another.
func FuzzOrderOfSteps(f *testing.F) {
	f.Add([]byte{0, 1, 1, 2, 2, 0})
	f.Add([]byte{3, 1, 1, 2, 7, 3})
	f.Fuzz(func(t *testing.T, pairs []byte) {
		const count = 8
		given := make([]core.Step, count)
		for i := range given {
			given[i] = core.Step{Name: fmt.Sprint(i), Script: &core.ScriptStep{Run: "true"}}
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			s := &given[pairs[i]%count]
			s.After = append(s.After, fmt.Sprint(pairs[i+1]%count))
		}
		names, err := ordered(t, given)
		if err != nil {
			if !core.Is(err, core.Invalid) {
				t.Fatal(err)
			}
			return
		}
		if len(names) != count {
			t.Fatalf("%q", names)
		}
		for _, s := range given {
			for _, before := range s.After {
				if slices.Index(names, before) >= slices.Index(names, s.Name) {
					t.Fatalf("%s is not before %s in %q", before, s.Name, names)
				}
			}
		}
	})
}

func TestStepsThatAreRefused(t *testing.T) {
	script := func(change func(s *core.Step)) core.Step {
		s := core.Step{Name: "s", Script: &core.ScriptStep{Run: "true"}}
		change(&s)
		return s
	}
	http := func(change func(s *core.HTTPStep)) core.Step {
		s := core.HTTPStep{HTTPRequest: core.HTTPRequest{URL: "https://cmdb"}}
		change(&s)
		return core.Step{Name: "s", HTTP: &s}
	}
	for says, s := range map[string]core.Step{
		`"" cannot name a step`:                {Script: &core.ScriptStep{Run: "true"}},
		"it does not say what is to be done":   {Name: "s"},
		"of more than one kind":                {Name: "s", Script: &core.ScriptStep{Run: "true"}, HTTP: &core.HTTPStep{}},
		`cannot run in the phase "first_boot"`: script(func(s *core.Step) { s.Phase = core.PhaseFirstBoot }),
		"did you mean deployed? there are: deployed, prepare, release, cleaned; left": script(func(s *core.Step) { s.Phase = "deployd" }),
		"; there are: deployed, prepare, release, cleaned; left out it is deployed":   script(func(s *core.Step) { s.Phase = "afterwards" }),
		"bios: attributes: A is a number that is none":                                {Name: "s", BIOS: &core.BIOSStep{Attributes: core.BIOSAttributes{"A": math.Inf(1)}}},
		"nobody but root":                    script(func(s *core.Step) { s.Phase, s.Script.As = core.PhasePrepare, core.AsLogin }),
		`and not with "quarantine"`:          script(func(s *core.Step) { s.Phase, s.OnFailure = core.PhaseRelease, core.FailNode }),
		"somebody waits for the release":     script(func(s *core.Step) { s.Phase, s.Timeout = core.PhaseRelease, core.Span(time.Hour) }),
		"allow 5m and 3 retries at most":     script(func(s *core.Step) { s.Phase, s.Retries = core.PhaseRelease, 4 }),
		"there is no deploy that could fail": script(func(s *core.Step) { s.Phase, s.OnFailure = core.PhaseCleaned, core.FailDeploy }),
		"the timeout is negative":            script(func(s *core.Step) { s.Timeout = -1 }),
		"allow 168h at most":                 script(func(s *core.Step) { s.Timeout = core.Span(2562047 * time.Hour) }),
		"101 retries":                        script(func(s *core.Step) { s.Retries = 101 }),
		"only: labels: a label of more than 256 bytes": script(func(s *core.Step) {
			s.Only = &core.StepServers{Labels: map[string]string{"a": strings.Repeat("x", 257)}}
		}),
		`"ignore" is nothing to do`:                                                  script(func(s *core.Step) { s.OnFailure = "ignore" }),
		"it is to run after itself":                                                  script(func(s *core.Step) { s.After = []string{"s"} }),
		"secrets: TOKEN: it is not said where to find":                               script(func(s *core.Step) { s.Secrets = map[string]core.Reference{"TOKEN": "hunter2"} }),
		`"METALPOOL_X" cannot name one`:                                              script(func(s *core.Step) { s.Secrets = map[string]core.Reference{"METALPOOL_X": "env:X"} }),
		"run: it is empty":                                                           script(func(s *core.Step) { s.Script.Run = " " }),
		`as: "nobody" is nobody`:                                                     script(func(s *core.Step) { s.Script.As = "nobody" }),
		`"a b" cannot name a variable`:                                               script(func(s *core.Step) { s.Script.Env = map[string]string{"a b": ""} }),
		"env: X: the template cannot be filled in: at <.Nodes>:":                     script(func(s *core.Step) { s.Script.Env = map[string]string{"X": "{{.Nodes}}"} }),
		"env: X: line 2: the template cannot be filled in: at <.":                    script(func(s *core.Step) { s.Script.Env = map[string]string{"X": "a\n{{.Nodes}}"} }),
		"line 3: the template cannot be filled in: missing value":                    script(func(s *core.Step) { s.Script.Env = map[string]string{"X": "a\n\n{{if}}"} }),
		`"../x" cannot name a file`:                                                  script(func(s *core.Step) { s.Script.Files = map[string]string{"../x": ""} }),
		"it has 262234 bytes, and the most is 256 KiB (262144)":                      script(func(s *core.Step) { s.Script.Run = strings.Repeat("x", 256<<10+90) }),
		"and the most is 256 KiB":                                                    script(func(s *core.Step) { s.Script.Run = strings.Repeat("x", 1<<20) }),
		`method: "FETCH" is none`:                                                    http(func(s *core.HTTPStep) { s.Method = "FETCH" }),
		"url: it does not begin with https://":                                       http(func(s *core.HTTPStep) { s.URL = "cmdb" }),
		`there is no secret "TOKEN"`:                                                 http(func(s *core.HTTPStep) { s.Body = `{{secret "TOKEN"}}` }),
		`headers: "a b" cannot name one`:                                             http(func(s *core.HTTPStep) { s.Headers = map[string]string{"a b": ""} }),
		"expect: 42 is no status":                                                    http(func(s *core.HTTPStep) { s.Expect = []int{42} }),
		"bios: attributes: it names none":                                            bios("s", nil),
		"bios: attributes: A is neither a text nor a number":                         bios("s", core.BIOSAttributes{"A": []any{1}}),
		`raid: volumes: "v" does not say which RAID`:                                 {Name: "s", RAID: &core.RAIDStep{Volumes: []core.RAIDVolume{{Name: "v"}}}},
		`raid: volumes: "v" names no drives`:                                         {Name: "s", RAID: &core.RAIDStep{Volumes: []core.RAIDVolume{{Name: "v", RAID: "RAID1"}}}},
		"raid: volumes: the volume v: there is no RAID type raid1 (is RAID1 meant?)": {Name: "s", RAID: &core.RAIDStep{Volumes: []core.RAIDVolume{{Name: "v", RAID: "raid1", Count: 2}}}},
		"raid: volumes: a RAID5 takes at least 3 drives, not 2":                      {Name: "s", RAID: &core.RAIDStep{Volumes: []core.RAIDVolume{{RAID: "RAID5", Count: 2}}}},
		`"tape" is no kind of drive`:                                                 {Name: "s", RAID: &core.RAIDStep{Volumes: []core.RAIDVolume{{RAID: "RAID1", Count: 2, Kind: "tape"}}}},
		"firmware: minimum: it names no component":                                   {Name: "s", Firmware: &core.FirmwareStep{}},
		"boot_order: first: it names no boot option":                                 {Name: "s", BootOrder: &core.BootOrderStep{}},
		"the ramdisk is not signed":                                                  {Name: "s", SecureBoot: &core.SecureBootStep{Enabled: true}},
		"only: it names no servers":                                                  {Name: "s", Only: &core.StepServers{}, SecureBoot: &core.SecureBootStep{}},
		`only: "[" is no pattern`:                                                    {Name: "s", Only: &core.StepServers{Model: "["}, SecureBoot: &core.SecureBootStep{}},
		"check: url: it does not begin with https":                                   http(func(s *core.HTTPStep) { s.Check = &core.HTTPRequest{} }),
	} {
		err := s.Validate()
		if !core.Is(err, core.Invalid) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want %s", err, says)
		}
	}
}

func TestSizesAreReadBackToTheByte(t *testing.T) {
	for text, want := range map[string]string{"480GB": "480GB", "1.92TB": "1920GB", "64GiB": "64GiB", "480103981057B": "480103981057B", "0B": "0B"} {
		var s, again core.Size
		if err := s.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		written, err := s.MarshalText()
		if err != nil || string(written) != want {
			t.Errorf("%s is written %s, %v", text, written, err)
		}
		if err := again.UnmarshalText(written); err != nil || again != s {
			t.Errorf("%s is read back as %d and not %d, %v", text, again, s, err)
		}
	}
}
