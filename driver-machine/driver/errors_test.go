package driver

import (
	"errors"
	"fmt"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// The text is all that reaches the user, so each kind has its exact text here.
func TestExplain(t *testing.T) {
	fault := func(kind core.Kind) error {
		return &core.Error{Op: "create", Allocation: "web-1", Node: "n1", Kind: kind, Err: errors.New("why"), Hint: "do this"}
	}
	d := New(nil)
	d.MachineName = "web-1"
	for _, test := range []struct {
		err  error
		want string
	}{
		{fault(core.Internal), "create web-1 (node n1): internal: why; do this; this is a defect of metalpool: please report it with what 'docker-machine -D' prints"},
		{fault(core.Invalid), "create web-1 (node n1): why; do this"},
		{fault(core.NotFound), "create web-1 (node n1): missing: why; do this"},
		{fault(core.Exists), "create web-1 (node n1): why; do this"},
		{fault(core.NoCapacity), "create web-1 (node n1): no capacity: why; do this"},
		{fault(core.Busy), "create web-1 (node n1): busy: why; do this"},
		{fault(core.LeaseLost), "create web-1 (node n1): lease lost: why; do this"},
		{fault(core.Transient), "create web-1 (node n1): transient: why; do this"},
		{fault(core.Backend), "create web-1 (node n1): backend: why; do this"},
		{fault(core.Timeout), "create web-1 (node n1): timeout: why; do this"},
		{fault(core.Denied), "create web-1 (node n1): denied: why; do this"},
		{&core.Error{Op: "acquire", Allocation: "web-1", Kind: core.NoCapacity, Err: errors.New("0 of 6"), Hint: "wait for one with --wait 30m"}, "acquire web-1: no capacity: 0 of 6; wait for one with --metalpool-wait 30m"},
		{&core.Error{Op: "deploy", Node: "n1", Kind: core.Backend, Err: errors.New("why"), Hint: "see it; " + core.AdviceFailed}, "deploy (node n1): backend: why; see it; 'docker-machine rm -y web-1' gives it back"},
		{&core.Error{Op: "create", Kind: core.Timeout, Err: errors.New("why"), Hint: "allow more " + core.AdviceTime + ", or " + core.AdviceUnfinished}, "create: timeout: why; allow more with --metalpool-deploy-timeout, or 'docker-machine rm -y web-1' gives it back"},
		{fmt.Errorf("%w; node n1 was given back", &core.Error{Op: "create", Node: "n1", Kind: core.Timeout, Err: errors.New("why"), Before: []string{"03:04:05 n1 power on done", "03:24:05 n1 boot ramdisk failed: not found"}}),
			"create (node n1): timeout: why; node n1 was given back; what happened before, in UTC: 03:04:05 n1 power on done; 03:24:05 n1 boot ramdisk failed: missing"},
		{errors.Join(fault(core.Busy), errors.New("and")), "create web-1 (node n1): busy: why; do this; and"},
	} {
		if got := d.explain(test.err); got == nil || got.Error() != test.want {
			t.Errorf("got  %v\nwant %s", got, test.want)
		}
	}
	if err := d.explain(nil); err != nil {
		t.Errorf("nothing became %v", err)
	}
	d.URL = "https://pool.example.com"
	want := "create web-1 (node n1): denied: why; do this; the token is that of METALPOOL_TOKEN, else of 'metalpool login', on each command, and never stored with the machine"
	if got := d.explain(fault(core.Denied)); got.Error() != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}
