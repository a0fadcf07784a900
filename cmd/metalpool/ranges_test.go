package main

import (
	"slices"
	"strings"
	"testing"
)

func TestExpandRanges(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string
	}{
		{"https://10.0.0.7", []string{"https://10.0.0.7"}},
		{"https://10.0.0.[9-11]:443", []string{"https://10.0.0.9:443", "https://10.0.0.10:443", "https://10.0.0.11:443"}},
		{"r1-n[08-10]", []string{"r1-n08", "r1-n09", "r1-n10"}},
		{"n[1,4-5,9]", []string{"n1", "n4", "n5", "n9"}},
		{"r[1-2]n[1-2]", []string{"r1n1", "r1n2", "r2n1", "r2n2"}},
		{"n[3]", []string{"n3"}},
		// Brackets of IPv6 stay, with a range inside them too.
		{"https://[fd00::1]:443", []string{"https://[fd00::1]:443"}},
		{"https://[fd00::[1-2]]", []string{"https://[fd00::1]", "https://[fd00::2]"}},
		{"", []string{""}},
	} {
		got, err := expandRanges(test.text)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("expandRanges(%q) = %q, %v; want %q", test.text, got, err, test.want)
		}
	}
}

func TestExpandRangesRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.[9-3]":                    "does not go upwards",
		"10.[0-99].[0-99].1":              "more than 4096",
		"10.0.[0-99999].1":                "more than 4096",
		"n[99999999999999999999999]":      "does not go upwards",
		"n[1-99999999999999999999999]":    "does not go upwards",
		"n[0-4095].[0-1]":                 "more than 4096",
		"a[0-4000]b[0-4000]c[0-4000]d[1]": "more than 4096",
	} {
		if got, err := expandRanges(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expandRanges(%q) = %d texts, %v; want an error with %q", text, len(got), err, want)
		}
	}
}

func FuzzExpandRanges(f *testing.F) {
	for _, seed := range []string{"https://10.0.0.[1-40]:443", "[1,2-3][4]", "[]", "[-1]", "[1-2", "x[1-2]]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := expandRanges(text)
		if err == nil && (len(all) == 0 || len(all) > maxRange) {
			t.Fatalf("expandRanges(%q) = %d texts", text, len(all))
		}
		if !rangePattern.MatchString(text) && (err != nil || all[0] != text) {
			t.Fatalf("expandRanges(%q) = %q, %v, and there is no range in it", text, all, err)
		}
	})
}
