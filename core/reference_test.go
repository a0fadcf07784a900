package core

import (
	"strings"
	"testing"
)

func TestSplitPassword(t *testing.T) {
	for _, test := range []struct{ given, ref, literal, refused string }{
		{"calvin", "", "calvin", ""},
		{"", "", "", ""},
		{"environment", "", "environment", ""},
		{"ENV:HOME", "", "ENV:HOME", ""},
		{"env:BMC_PASSWORD", "env:BMC_PASSWORD", "", ""},
		{"file:/run/secrets/bmc", "file:/run/secrets/bmc", "", ""},
		{"exec:pass show bmc/r1", "exec:pass show bmc/r1", "", ""},
		{"exec:/usr/bin/vault", "exec:/usr/bin/vault", "", ""},
		{"literal:env:BMC_PASSWORD", "", "env:BMC_PASSWORD", ""},
		{"literal:literal:x", "", "literal:x", ""},
		{"env:", "", "", "not the name of a variable"},
		{"env:s3cret!", "", "", "not the name of a variable"},
		{"env:METALPOOL_BMC_PASSWORD", "", "", "workers in the background are not given"},
		{"file:s3cret", "", "", "not the absolute path"},
		{"exec:", "", "", "no program"},
		{"exec:  ", "", "", "no program"},
		{"exec:./s3cret", "", "", "absolute path"},
		{"exec:pass\ns3cret", "", "", "more than one line"},
	} {
		ref, literal, err := splitPassword(test.given)
		if string(ref) != test.ref || literal != test.literal || (err != nil) != (test.refused != "") {
			t.Errorf("%q is %q, %q, %v", test.given, ref, literal, err)
		}
		if err != nil && (!strings.Contains(err.Error(), test.refused) || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "literal:")) {
			t.Errorf("%q: %v", test.given, err)
		}
	}
}
