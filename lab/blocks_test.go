package lab

import (
	"maps"
	"slices"
	"testing"
)

// Labs of different folders do not begin at the same block, so that one does not take
// the addresses of another that is down; and each tries all there are.
func TestBlocksFollowFromTheFolder(t *testing.T) {
	begins := map[string]bool{}
	for _, dir := range []string{"/home/a/lab", "/home/b/lab", "/tmp/x", "/tmp/y", "lab"} {
		list := blocksFor(dir)
		begins[list[0]] = true
		distinct := map[string]bool{}
		for _, text := range list {
			distinct[text] = true
			if _, err := parseNet(text); err != nil {
				t.Error(err)
			}
		}
		if len(distinct) != blocks {
			t.Errorf("%s tries %d blocks, not %d", dir, len(distinct), blocks)
		}
		if again := blocksFor(dir); !slices.Equal(list, again) {
			t.Errorf("%s tries other blocks the next time", dir)
		}
	}
	if len(begins) < 4 {
		t.Errorf("five folders begin at %v", slices.Collect(maps.Keys(begins)))
	}
}
