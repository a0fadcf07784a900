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
		{"metalpool_machine", fmt.Sprintf("ssh_keys = [%q]", key), "Could not create machine web: there is one already"},
		{"metalpool_allocation", "", "Could not create machine web: there is one already"},
		{"metalpool_pool", "", "Could not create pool web: there is one already"},
		{"metalpool_image", fmt.Sprintf("source = %q\n  user = \"debian\"", r.image("lab")), "Could not create image web: there is one already"},
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
