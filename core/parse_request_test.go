package core

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseSelectors(t *testing.T) {
	for text, want := range map[string][]Selector{
		"":                  nil,
		"  ":                nil,
		"rack=r1":           {{"rack", OpEqual, []string{"r1"}}},
		" rack = r1 ":       {{"rack", OpEqual, []string{"r1"}}},
		"tier!=test":        {{"tier", OpNotEqual, []string{"test"}}},
		"gpu exists":        {{"gpu", OpExists, nil}},
		"zone in (a)":       {{"zone", OpIn, []string{"a"}}},
		"zone in(a , b)":    {{"zone", OpIn, []string{"a", "b"}}},
		"zone notin (a,b)":  {{"zone", OpNotIn, []string{"a", "b"}}},
		"model=Power Edge":  {{"model", OpEqual, []string{"Power Edge"}}},
		"note=a=b":          {{"note", OpEqual, []string{"a=b"}}},
		"example.org/a-b=1": {{"example.org/a-b", OpEqual, []string{"1"}}},
		"exists=no":         {{"exists", OpEqual, []string{"no"}}},
		"rack=r1,gpu exists,zone in (a,b)": {
			{"rack", OpEqual, []string{"r1"}}, {"gpu", OpExists, nil}, {"zone", OpIn, []string{"a", "b"}},
		},
	} {
		got, err := ParseSelectors(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseSelectors(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseDisks(t *testing.T) {
	for text, want := range map[string][]DiskNeed{
		"":             nil,
		"480GB":        {{Count: 1, Size: 480e9}},
		"2x480GB":      {{Count: 2, Size: 480e9}},
		"2x480GB,ssd":  {{Count: 2, Size: 480e9, Kind: SSD}},
		"ssd, 480 GB":  {{Count: 1, Size: 480e9, Kind: SSD}},
		"NVMe":         {{Count: 1, Kind: NVMe}},
		"4xhdd":        {{Count: 4, Kind: HDD}},
		"3xany":        {{Count: 3}},
		"1.92TB+2xssd": {{Count: 1, Size: 1920e9}, {Count: 2, Kind: SSD}},
		"2x1TiB + hdd": {{Count: 2, Size: TiB}, {Count: 1, Kind: HDD}},
	} {
		got, err := ParseDisks(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseDisks(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseNICs(t *testing.T) {
	for text, want := range map[string][]NICNeed{
		"":         nil,
		"25G":      {{1, 25_000}},
		"2x25G":    {{2, 25_000}},
		"2x25Gbps": {{2, 25_000}},
		"2.5g":     {{1, 2_500}},
		"100M":     {{1, 100}},
		"4xany":    {{4, 0}},
		"2x25G+1G": {{2, 25_000}, {1, 1_000}},
	} {
		got, err := ParseNICs(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseNICs(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseGPUs(t *testing.T) {
	for text, want := range map[string]struct {
		count int
		model string
	}{
		"":            {0, ""},
		"2":           {2, ""},
		"A100":        {1, "A100"},
		"2xA100":      {2, "A100"},
		"1x4090":      {1, "4090"},
		"4x RTX 6000": {4, "RTX 6000"},
	} {
		count, model, err := ParseGPUs(text)
		if err != nil || count != want.count || model != want.model {
			t.Errorf("ParseGPUs(%q) = %d, %q, %v; want %v", text, count, model, err, want)
		}
	}
}

func TestParsePlacement(t *testing.T) {
	for text, want := range map[string]Placement{
		"":                        {},
		"spread=rack":             {Key: "rack", Mode: Spread},
		"together=zone,group=db":  {Key: "zone", Mode: Together, Group: "db"},
		"group=db , spread= rack": {Key: "rack", Mode: Spread, Group: "db"},
	} {
		got, err := ParsePlacement(text)
		if err != nil || got != want {
			t.Errorf("ParsePlacement(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseArchAndDuration(t *testing.T) {
	for text, want := range map[string]string{"": "", "amd64": "amd64", "X86_64": "amd64", " aarch64": "arm64", "arm64": "arm64"} {
		if got, err := ParseArch(text); err != nil || got != want {
			t.Errorf("ParseArch(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]time.Duration{"": 0, "0s": 0, "30m": 30 * time.Minute, " 1h30m ": 90 * time.Minute} {
		if got, err := ParseDuration("wait", text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

// parsers takes every reader of text to one form.
var parsers = map[string]func(string) error{
	"labels":       func(s string) error { _, err := ParseSelectors(s); return err },
	"disks":        func(s string) error { _, err := ParseDisks(s); return err },
	"NICs":         func(s string) error { _, err := ParseNICs(s); return err },
	"GPUs":         func(s string) error { _, _, err := ParseGPUs(s); return err },
	"place":        func(s string) error { _, err := ParsePlacement(s); return err },
	"architecture": func(s string) error { _, err := ParseArch(s); return err },
	"wait":         func(s string) error { _, err := ParseDuration("wait", s); return err },
}

// Each refusal names the part at fault and the fault.
func TestParsersSayWhatIsWrongWhere(t *testing.T) {
	for _, test := range []struct{ what, text, part, fault string }{
		{"labels", "rack", `"rack"`, `say "rack exists" or "rack=VALUE"`},
		{"labels", "rack=r1,,gpu exists", `""`, "a comma too many"},
		{"labels", "rack=", `"rack="`, "empty value"},
		{"labels", "rack==r1", `"rack==r1"`, "one = is meant"},
		{"labels", "rack=a\x01", `"rack=a\x01"`, "control character"},
		{"labels", "=r1", `"=r1"`, "no label"},
		{"labels", "rack~r1 x", `"rack~r1 x"`, "none of = != in notin exists"},
		{"labels", "gpu exists now", `"gpu exists now"`, "takes no value"},
		{"labels", "zone in a,b", `"zone in a"`, "in parentheses"},
		{"labels", "zone in", `"zone in"`, "in parentheses"},
		{"labels", "zone in ()", `"zone in ()"`, "empty value"},
		{"labels", "zone in (a,b", `"(a,b"`, "never closed"},
		{"labels", "zone in (a))", `"zone in (a))"`, "never opened"},
		{"labels", "zone in ((a))", `"(("`, "inside another one"},
		{"labels", "zone=(a)", `"zone=(a)"`, `only follow "in" and "notin"`},
		{"labels", "zone in (a) b", `"zone in (a) b"`, `only follow "in" and "notin"`},
		{"disks", "480", `"480"`, "neither a size with a unit"},
		{"disks", "2x", `"2x"`, "neither a size with a unit"},
		{"disks", "2x480GB,sdd", `"2x480GB,sdd"`, `has "sdd"`},
		{"disks", "0x480GB", `"0x480GB"`, "from 1 to 999"},
		{"disks", "99999999999999999999x1GB", `"99999999999999999999x1GB"`, "from 1 to 999"},
		{"disks", "1GB,ssd,hdd", `"1GB,ssd,hdd"`, "two kinds"},
		{"disks", "1GB,2GB", `"1GB,2GB"`, "two sizes"},
		{"disks", "1GB+", `""`, "a + too many"},
		{"NICs", "2x25", `"2x25"`, `has "25"`},
		{"NICs", "fast", `"fast"`, `has "fast"`},
		{"NICs", "0G", `"0G"`, `has "0G"`},
		{"NICs", "NaNG", `"NaNG"`, `has "NaNG"`},
		{"NICs", "1e300G", `"1e300G"`, `has "1e300G"`},
		{"GPUs", "0", `"0x"`, "from 1 to 999"},
		{"GPUs", "A\x00", `"A\x00"`, "control character"},
		{"place", "rack", `"rack"`, "WORD=VALUE"},
		{"place", "spread=", `"spread="`, "WORD=VALUE"},
		{"place", "near=rack", `"near=rack"`, "neither spread="},
		{"place", "spread=a,together=b", `"together=b"`, "only one"},
		{"place", "group=a,group=b", `"group=b"`, "second group"},
		{"place", "group=a", `"group=a"`, "does not say"},
		{"architecture", "sparc", `"sparc"`, "no architecture"},
		{"wait", "30", `"30"`, "its unit"},
		{"wait", "-3m", `"-3m"`, "its unit"},
	} {
		err := parsers[test.what](test.text)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s %q: %v, want an Error", test.what, test.text, err)
			continue
		}
		if e.Kind != Invalid || e.Op != "read "+test.what || e.Hint == "" ||
			!strings.HasPrefix(e.Err.Error(), test.part+" ") || !strings.Contains(e.Err.Error(), test.fault) {
			t.Errorf("%s %q:\n got %v\nwant %s … %s", test.what, test.text, err, test.part, test.fault)
		}
	}
}

// Every example that a refusal shows is itself right.
func TestParsersShowRightExamples(t *testing.T) {
	for what, parse := range parsers {
		err := parse("?,\x00")
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("%s: %v, want an Error", what, err)
		}
		_, examples, _ := strings.Cut(e.Hint, ": ")
		for example := range strings.SplitSeq(examples, ", or ") {
			example, _, _ = strings.Cut(example, " (two ")
			if err := parse(example); err != nil {
				t.Errorf("%s: the example %q is refused: %v", what, example, err)
			}
		}
	}
}

func TestParsersQuoteLittle(t *testing.T) {
	for what, parse := range parsers {
		if err := parse(strings.Repeat("?", 1<<20) + ",\x00"); err == nil || len(err.Error()) > 1000 {
			t.Errorf("%s: an error of %d bytes for a text of 1 MiB", what, len(fmt.Sprint(err)))
		}
	}
}

func FuzzParsers(f *testing.F) {
	for _, seed := range []string{
		"", selectorExample, "2x480GB,ssd+4x8TB,hdd", "2x25G+1G", "2xA100", "spread=rack,group=web", "x86_64", "1h30m",
		"zone in ((a))", "=,=", "0x0GB", "+", ")", "9e999G", "\xff\xfe", "a\x00=b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for what, parse := range parsers {
			if err := parse(text); err != nil && KindOf(err) != Invalid {
				t.Errorf("%s %q: %v is not Invalid", what, text, err)
			}
		}
		selectors, _ := ParseSelectors(text)
		if again, err := ParseSelectors(writeSelectors(selectors)); err != nil || !reflect.DeepEqual(again, selectors) {
			t.Errorf("%q was read as %v; written and read again: %v, %v", text, selectors, again, err)
		}
		disks, _ := ParseDisks(text)
		for _, d := range disks {
			if d.Count < 1 || d.Count > maxCount || d.Size < 0 {
				t.Errorf("%q was read as %+v", text, d)
			}
		}
		nics, _ := ParseNICs(text)
		for _, n := range nics {
			if n.Count < 1 || n.Count > maxCount || n.Mbps < 0 || n.Mbps > maxMbps {
				t.Errorf("%q was read as %+v", text, n)
			}
		}
		if place, err := ParsePlacement(text); err == nil && (place.Mode == "") != (place.Key == "") {
			t.Errorf("%q was read as %+v", text, place)
		}
	})
}

func writeSelectors(selectors []Selector) string {
	texts := make([]string, len(selectors))
	for i, s := range selectors {
		texts[i] = s.String()
	}
	return strings.Join(texts, ",")
}
