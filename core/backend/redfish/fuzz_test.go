package redfish

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"testing"
)

// FuzzDocuments: whatever a BMC sends as the documents that bring a server to its ready
// state, reading it does not panic, and odd fields spoil nothing but themselves.
func FuzzDocuments(f *testing.F) {
	for _, s := range []string{
		`{"Attributes":{"A":"x","B":1,"C":true,"D":null,"E":[1],"F":{}},"@Redfish.Settings":{"SettingsObject":{"@odata.id":"/s"},"SupportedApplyTimes":["OnReset"]}}`,
		`{"Attributes":[],"@Redfish.Settings":7,"Oem":"x"}`,
		`{"RegistryEntries":{"Attributes":[{"AttributeName":"A","Type":"Enumeration","Value":[{"ValueName":"x"}]},{"AttributeName":"B","Type":"Integer","LowerBound":"1","UpperBound":9}]}}`,
		`{"Boot":{"BootOrder":["Boot0001"],"BootOptions":{"@odata.id":"/o"}}}`, `{"Boot":{"BootOrder":"x"}}`,
		`{"SecureBootEnable":"yes","SecureBootMode":3}`,
		`{"Id":1,"RAIDType":null,"CapacityBytes":"x","Links":{"Drives":[{"@odata.id":"/d"}]}}`,
		`{"Members":[{"Id":"JID_1","JobType":"BIOSConfiguration","JobState":"Scheduled"},{}]}`,
	} {
		f.Add([]byte(s), "A", "x")
	}
	f.Fuzz(func(t *testing.T, text []byte, name, value string) {
		var b biosResource
		if json.Unmarshal(text, &b) == nil {
			s := compared(b.Attributes, b.Attributes)
			if len(s.waiting) > 0 {
				t.Errorf("what is in force waits: %v", s.waiting)
			}
			want := attributes{name: value}
			if v, err := likeness(value, s.force[name]); err == nil {
				want[name] = v
			}
			if (len(s.needed(want)) == 0) != (len(s.differences(want)) == 0) {
				t.Errorf("%v is needed, and %v differs", s.needed(want), s.differences(want))
			}
			_ = s.list(nil)
		}
		var r struct {
			RegistryEntries struct{ Attributes registry }
		}
		if json.Unmarshal(text, &r) == nil {
			_ = r.RegistryEntries.Attributes.meant(name, nil)
			for _, a := range r.RegistryEntries.Attributes {
				_ = a.about()
				for _, v := range []any{value, json.Number("1"), true, nil} {
					_ = a.refuses(v)
				}
			}
		}
		var jobs struct{ Members []job }
		if json.Unmarshal(text, &jobs) == nil {
			_, _ = queueOfJobs(jobs.Members).open()
			_ = queueOfJobs(jobs.Members).lastFailure()
		}
		for _, v := range []any{&orderedSystem{}, &secureBootResource{}, &storageResource{}, &volumeResource{}, &volumeCollection{}} {
			_ = json.Unmarshal(text, v)
		}
		if out, err := unpacked(text); err == nil && !bytes.HasPrefix(text, []byte{0x1f, 0x8b}) && !bytes.Equal(out, text) {
			t.Errorf("what is not packed comes out as %q", out)
		}
	})
}

// A small answer that unpacks into a big one is refused.
func TestUnpackedIsBounded(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(make([]byte, maxBody+1)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := unpacked(packed.Bytes()); err != errTooLong { //nolint:errorlint // just this
		t.Errorf("error %v, want %v", err, errTooLong)
	}
}
