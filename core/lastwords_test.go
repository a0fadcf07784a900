package core

import (
	"slices"
	"testing"
)

func TestSpoken(t *testing.T) {
	for _, tt := range []struct{ name, log, want string }{
		{"a message", `time=2026-11-21T16:00:00Z level=INFO msg="the disk is erased" node=n1 boot=b-1`, "the disk is erased\n"},
		{"a word", "level=INFO msg=erased", "erased\n"},
		{"what belongs to it", `level=ERROR msg="not erased" disk=S1 error="write: \"EIO\" = bad" boot=b-1`, `not erased disk=S1 error="write: \"EIO\" = bad"` + "\n"},
		{"two", "msg=one\nmsg=two\n", "one\ntwo\n"},
		{"a line of something else", "panic: a=1 went wrong", "panic: a=1 went wrong\n"},
		{"text around", `msg="one" and two=2`, `msg="one" and two=2` + "\n"},
		{"no message", "level=INFO node=n1", "level=INFO node=n1\n"},
		{"a quote without end", `msg="one two=2`, `"one two=2` + "\n"},
		{"a key of two words", `level=INFO msg="asks" "seen at"=127.0.0.1 port=1`, `asks "seen at"=127.0.0.1 port=1` + "\n"},
		{"what answers tell as well", `msg="checked in" url=x "seen at"=y` + "\nmsg=\"command begins\" order=write\nmsg=news\n", "news\n"},
		{"nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := spoken(tt.log); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestApart(t *testing.T) {
	for reason, want := range map[string][]string{
		"not done": {"not done"},
		"not done" + ending(consoleEnds, tail("a \"b\"\nc")) + "; try again": {"not done; try again", "its console ends:", `a "b"`, "c"},
		"failed" + ending(logEnds, tail("one")):                              {"failed", "the agent's log ends:", "one"},
		"failed" + logEnds + "cut off":                                       {"failed" + logEnds + "cut off"},
		"":                                                                   {""},
	} {
		what, said := Apart(reason)
		if got := append([]string{what}, said...); !slices.Equal(got, want) {
			t.Errorf("%q is %q, want %q", reason, got, want)
		}
	}
}
