package core

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	good := func(disk string, class EraseClass) DiskErase {
		return DiskErase{Disk: disk, Class: class, Method: "sanitize", Verified: true}
	}
	for name, tt := range map[string]struct {
		report  []DiskErase
		order   []string
		builtIn int
		minimum EraseClass
		want    string // "" is good enough
		below   bool
	}{
		"all of them":                         {[]DiskErase{good("a", Purge), good("b", Clear)}, []string{"a", "b"}, 2, NotErased, "", false},
		"purge where purge is wanted":         {[]DiskErase{good("a", Purge)}, []string{"a"}, 1, Purge, "", false},
		"clear where purge is wanted":         {[]DiskErase{good("a", Purge), good("b", Clear)}, []string{"a", "b"}, 2, Purge, `disk b: sanitize reached "clear", below the pool's minimum "purge"`, true},
		"nothing reached":                     {[]DiskErase{good("a", NotErased)}, []string{"a"}, 1, NotErased, `reached ""`, true},
		"one was not verified":                {[]DiskErase{{Disk: "a", Class: Purge, Method: "format"}}, []string{"a"}, 1, NotErased, "format was not verified", false},
		"one failed":                          {[]DiskErase{good("a", Purge), {Disk: "b", Err: "I/O error"}}, []string{"a", "b"}, 2, NotErased, "disk b: I/O error", false},
		"one is missing":                      {[]DiskErase{good("a", Purge)}, []string{"a", "b"}, 2, NotErased, "disk b: was not erased", false},
		"one without a name is missing":       {[]DiskErase{good("a", Purge)}, []string{"a"}, 2, NotErased, "the inventory has 2 disks, and 1 were erased", false},
		"no disk at all":                      {nil, nil, 0, NotErased, "the agent saw no disk", false},
		"one that the inventory knows not of": {[]DiskErase{good("a", Purge), good("new", Clear)}, []string{"a"}, 1, NotErased, "", false},
	} {
		err := judge(EraseReport{Disks: tt.report}, EraseOrder{Disks: tt.order}, tt.builtIn, Pool{Name: "p", EraseMinimum: tt.minimum})
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		case err != nil && (!Is(err, Backend) || errors.Is(err, errBelowMinimum) != tt.below):
			t.Errorf("%s: kind %q, below the minimum %t", name, KindOf(err), errors.Is(err, errBelowMinimum))
		}
	}
}

func TestErasuresFollowTheReports(t *testing.T) {
	first, second := time.Unix(1, 0), time.Unix(2, 0)
	e := Erasures(nil).after(EraseReport{Disks: []DiskErase{
		{Disk: "a", Class: Purge, Method: "sanitize", Verified: true}, {Disk: "b", Class: Clear, Method: "discard", Verified: true}, {Disk: "gone", Class: Clear, Verified: true},
	}}, first)
	e = e.after(EraseReport{Disks: []DiskErase{{Disk: "a", Class: Clear, Method: "overwrite", Verified: true}, {Disk: "b", Err: "I/O error"}}}, second)
	want := Erasures{{"a", Clear, "overwrite", second}, {"b", Clear, "discard", first}}
	if len(e) != 2 || e[0] != want[0] || e[1] != want[1] {
		t.Errorf("got %+v, want %+v", e, want)
	}
	if got := e.after(EraseReport{}, time.Unix(3, 0)); len(got) != 2 {
		t.Errorf("a report of nothing left %+v", got)
	}
	if got, ok := e.Of(Disk{Serial: "z", WWN: "b"}); !ok || got != want[1] {
		t.Errorf("by WWN: %+v, %t", got, ok)
	}
	if _, ok := (Erasures{{}}).Of(Disk{}); ok {
		t.Error("a disk without a name was found")
	}
}

func TestErasuresBelowAMinimum(t *testing.T) {
	mixed := Erasures{{Disk: "a", Class: Purge}, {Disk: "b", Class: Clear}}
	for _, tt := range []struct {
		erasures Erasures
		minimum  EraseClass
		want     string
	}{
		{mixed, NotErased, ""},
		{mixed, Clear, ""},
		{nil, Clear, ""},
		{mixed[:1], Purge, ""},
		{mixed, Purge, "was erased to clear, below the pool's minimum of purge by now; 'metalpool node maintenance'"},
		{nil, Purge, "has no record of an erase to the pool's minimum of purge"},
	} {
		if got := tt.erasures.below(tt.minimum); tt.want == "" && got != "" || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%v below %q: %q, want %q", tt.erasures, tt.minimum, got, tt.want)
		}
	}
}
