package core_test

import (
	"testing"

	"github.com/metalpool/metalpool/core"
)

func TestOneSpellingOfAWWN(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "",
		"naa.5000c500a1b2c3d4":                 "5000c500a1b2c3d4",
		" NAA.5000C500A1B2C3D4 ":               "5000c500a1b2c3d4",
		"0x5000c500a1b2c3d4":                   "5000c500a1b2c3d4",
		"wwn-0x5000c500a1b2c3d4":               "5000c500a1b2c3d4",
		"5000C500A1B2C3D4":                     "5000c500a1b2c3d4",
		"50 00 C5 00 A1 B2 C3 D4":              "5000c500a1b2c3d4",
		"50:00:c5:00:a1:b2:c3:d4":              "5000c500a1b2c3d4",
		"eui.0025385b31b0a1c2":                 "0025385b31b0a1c2",
		"eui.36344730526005560025384500000001": "36344730526005560025384500000001",
		"36344730-5260-0556-0025-384500000001": "36344730526005560025384500000001",
		"eui.0000000000000000":                 "",
		"FFFFFFFFFFFFFFFF":                     "",
		"t10.ATA     QEMU HARDDISK   QM00001":  "t10.ATA     QEMU HARDDISK   QM00001",
		"naa.5000":                             "naa.5000",
		"wwn-S1":                               "wwn-S1",
	} {
		if got := core.WWN(text); got != want {
			t.Errorf("WWN(%q) = %q, want %q", text, got, want)
		}
		if again := core.WWN(core.WWN(text)); again != core.WWN(text) {
			t.Errorf("%q does not stay as it is: %q", core.WWN(text), again)
		}
	}
}
