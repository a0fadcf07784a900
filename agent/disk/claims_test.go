package disk

import (
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// FuzzClaims has drives say anything.
func FuzzClaims(f *testing.F) {
	f.Add(make([]byte, 4096))
	f.Add([]byte("\x72\x0b\x00\x00\x00\x00\x00\x0e\x09\x0c\x01\x04\x00\x00\x00\x00\x00\x00\x00\x00\x40\x51"))
	f.Add([]byte("\x70\x00\x02\x00\x00\x00\x00\x0a\x00\x00\x00\x00\x04\x1b\x00\x80\x40\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := parseSense(b); ok && (s.progress < 0 || s.progress > 1<<16 || s.Error() == "") {
			t.Errorf("sense %+v", s)
		}
		if l := parseSanitizeLog(b); l.done < 0 || l.done > 1<<16 || l.state > 7 || l.action > 7 {
			t.Errorf("log %+v", l)
		}
		if dw := formatOf(b); dw>>9&7 != 0 || dw>>14 != 0 {
			t.Errorf("a format of %#x touches more than a namespace's layout", dw)
		}
		for _, m := range nvmeMethods(parseController(b), false) {
			if m.class != core.Purge && m.class != core.Clear {
				t.Errorf("%s reaches %q", m.name, m.class)
			}
		}
		for _, m := range nvmeMethods(parseController(b), true) {
			if !strings.Contains(m.name, "sanitize") {
				t.Errorf("%s does not reach a whole drive", m.name)
			}
		}
		for _, n := range namespaces(b) {
			if n == 0 {
				t.Error("a namespace 0")
			}
		}
		id := parseATA(b)
		if list, without := ataMethods(id); id.frozen && id.security && len(without) == 0 || len(list) > 5 {
			t.Errorf("%d methods, and without %q", len(list), without)
		}
	})
}

// TestAFormatThatReachesAllNeedNotEraseAll: FNA's bit 0 is of the format, and bit 1 of
// the erase that comes with it.
func TestAFormatThatReachesAllNeedNotEraseAll(t *testing.T) {
	for fna, want := range map[byte]bool{0: false, 1: false, 2: true, 3: true} {
		b := make([]byte, 4096)
		b[256], b[524] = 2, fna
		for _, m := range nvmeMethods(parseController(b), false) {
			if m.shared != want {
				t.Errorf("FNA %#x: that %s is done for all namespaces at once is %t", fna, m.name, m.shared)
			}
		}
	}
}

func TestFormatKeepsTheLayout(t *testing.T) {
	for _, test := range []struct {
		flbas, dps byte
		want       uint32
	}{
		{0, 0, 0},
		{0x02, 0, 2},
		{0x13, 0, 0x13},         // metadata with the data
		{0x60, 0, 0x3000},       // the 49th format
		{0, 0x02, 0x40},         // protection of type 2
		{0, 0x09, 0x20 | 0x100}, // of type 1, at the front
	} {
		b := make([]byte, 4096)
		b[26], b[29] = test.flbas, test.dps
		if got := formatOf(b); got != test.want {
			t.Errorf("FLBAS %#x, DPS %#x: %#x, want %#x", test.flbas, test.dps, got, test.want)
		}
	}
}
