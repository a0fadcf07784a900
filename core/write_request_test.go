package core

import (
	"reflect"
	"testing"
)

// What is written is what is read: who is told of a need can type it.
func TestARequestIsWrittenAsItIsRead(t *testing.T) {
	for _, tt := range []struct {
		text string
		read func(string) (any, error)
	}{
		{"4x25G", func(s string) (any, error) { return ParseNICs(s) }},
		{"2x25G+any+3x2500M", func(s string) (any, error) { return ParseNICs(s) }},
		{"2x480GB,ssd+4x8TB,hdd+nvme+any", func(s string) (any, error) { return ParseDisks(s) }},
		{"1000000000001B", func(s string) (any, error) { return ParseDisks(s) }},
		{"64GiB", func(s string) (any, error) { return ParseBytes(s) }},
		{"rack=r1,tier!=test,gpu exists,zone in (a,b),vendor notin (x)", func(s string) (any, error) { return ParseSelectors(s) }},
		{"spread=rack", func(s string) (any, error) { return ParsePlacement(s) }},
		{"together=zone,group=db", func(s string) (any, error) { return ParsePlacement(s) }},
	} {
		read, err := tt.read(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		text := asWritten(read)
		again, err := tt.read(text)
		if err != nil || !reflect.DeepEqual(again, read) {
			t.Errorf("%q is written %q, and read as %v, %v", tt.text, text, again, err)
		}
	}
	for _, nothing := range []any{[]NICNeed(nil), []DiskNeed{}, []Selector{}, Bytes(0), 0, "", Placement{}, NodeID("")} {
		if text := asWritten(nothing); text != "none" {
			t.Errorf("%T %v is written %q", nothing, nothing, text)
		}
	}
}
