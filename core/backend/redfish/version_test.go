package redfish

import "testing"

func TestCompareVersions(t *testing.T) {
	const incomparable = 9
	for _, c := range []struct {
		a, b string
		want int
	}{
		// Dell
		{"7.10.30.00", "7.10.30.00", 0}, {"7.10.30.00", "7.10.30", 0}, {"7.10.30.05", "7.10.30", 1},
		{"7.9.80.00", "7.10.30.00", -1}, {"2.10.2", "2.9.4", 1}, {"1.0.4", "1.2.3", -1},
		// HPE: system ROMs belong to families, and have dates
		{"U46 v1.62 (08/11/2022)", "U46 v1.20 (02/02/2022)", 1}, {"U46 v1.62 (08/11/2022)", "1.62", 0}, {"U46 v1.62 (08/11/2022)", "v1.70", -1},
		{"U46 v1.62 (08/11/2022)", "U30 v2.76 (02/09/2023)", incomparable}, {"U46 v1.62 (08/11/2022)", "U46 v1.62", 0},
		{"iLO 5 v3.06", "iLO 5 v2.99", 1}, {"iLO 5 v3.06", "3.06", 0}, {"3.06 Oct 01 2021", "3.06", 0}, {"2.30 Aug 24 2020", "2.72 Sep 04 2022", -1}, {"iLO 6 v1.62", "iLO 5 v3.06", incomparable},
		// Lenovo: the build before it says for which machines it is
		{"CDI3A6E-4.11", "CDI340V-3.10", 1}, {"CDI3A6E-4.11", "4.20", -1}, {"CDI3A6E-4.11", "PSI328P-2.31", incomparable},
		// Supermicro
		{"01.05.12", "1.5.12", 0}, {"01.05.12", "01.10.01", -1}, {"3.5a", "3.5", 1}, {"3.5a", "3.5b", -1}, {"3.5", "3.5.0", 0}, {"1.74.09", "1.74.10", -1},
		// Cisco
		{"4.3(2.240002)", "4.3(2.230207)", 1}, {"4.3(2.240002)", "4.2(3e)", 1}, {"4.3(2a)", "4.3(2b)", -1}, {"C220M6.4.3.2a.0", "C220M6.4.3.1a.0", 1},
		// OpenBMC, NVIDIA, AMI
		{"2.18.0", "2.18.0-dev-123-gabcdef", 1}, {"2.18.0-dev", "2.17.0", 1}, {"2.19.0-rc1", "2.18.0", 1},
		{"GB200Nvl-25.01-6", "GB200Nvl-25.01-5", 1}, {"GB200Nvl-25.01-6", "GB200Nvl-24.10-9", 1}, {"24.01.05", "24.1.5", 0}, {"13.04.0", "13.4", 0},
		// devices
		{"19.5.12", "18.5.17", 1}, {"222.1.68.0", "22.1.68", 1}, {"v1.2.3", "1.2.4", -1},
		// what is no version is at best the same
		{"unknown", "unknown", 0}, {"unknown", "1.0", incomparable}, {"", "1.0", incomparable}, {"N/A", "1.0", incomparable}, {"99999999999999999999.1", "1.0", incomparable},
	} {
		for _, reversed := range []bool{false, true} {
			a, b, want := c.a, c.b, c.want
			if reversed {
				a, b = b, a
				if want != incomparable {
					want = -want
				}
			}
			got, ok := compareVersions(a, b)
			if !ok {
				got = incomparable
			}
			if got != want {
				t.Errorf("%q compares with %q as %d, want %d", a, b, got, want)
			}
		}
	}
}

// FuzzCompareVersions: whatever a BMC says, comparing does not depend on the order.
func FuzzCompareVersions(f *testing.F) {
	for _, s := range []string{"7.10.30.00", "U46 v1.62 (08/11/2022)", "CDI3A6E-4.11", "4.3(2.240002)", "3.5a", "2.18.0-dev-1", "-", "v", "(", "1-"} {
		f.Add(s, "1.0")
		f.Add("1.0-rc1", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, okX := compareVersions(a, b)
		y, okY := compareVersions(b, a)
		if okX != okY || okX && x != -y {
			t.Errorf("%q and %q: %d %t, the other way round %d %t", a, b, x, okX, y, okY)
		}
		if same, ok := compareVersions(a, a); !ok || same != 0 {
			t.Errorf("%q is not itself", a)
		}
	})
}
