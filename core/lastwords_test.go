package core

import "testing"

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
		{"nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := spoken(tt.log); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}
