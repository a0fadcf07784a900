//go:build linux

package main_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestTwins: of two resources of one configuration that ask for the same name by mistake,
// one has what it asks for, and the other is refused: who destroyed one would else take
// it from both.
func TestTwins(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	for _, c := range []struct{ kind, more, says string }{
		{"metalpool_machine", fmt.Sprintf("ssh_keys = [%q]", key), "Create machine web: exists"},
		{"metalpool_allocation", "", "Create machine web: exists"},
		{"metalpool_pool", "", "Create pool web: exists"},
		{"metalpool_image", fmt.Sprintf("source = %q\n  user = \"debian\"", r.image("lab")), "Create image web: exists"},
	} {
		t.Run(c.kind, func(t *testing.T) {
			w := r.newWork(t, r.block()+fmt.Sprintf("resource %q \"web\" {\n  count = 2\n  name  = \"web\"\n  %s\n}\n", c.kind, c.more))
			says(t, w.refuse(t), c.says)
			if held := strings.Count(w.run(t, "state", "list"), c.kind); held != 1 {
				t.Errorf("%d resources have it", held)
			}
			w.destroy(t)
			r.givenBack(t)
		})
	}
}
