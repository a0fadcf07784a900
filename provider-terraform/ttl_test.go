//go:build linux

package main_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
)

// TestTTL gives a machine an end, puts that off, and takes it back; the server stays.
func TestTTL(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	// ends checks that the machine ends so long after the test began, or somewhat later.
	began := time.Now()
	ends := func(after time.Duration) resource.TestCheckFunc {
		return func(*terraform.State) error {
			m, there := r.machine(t, "web-1")
			if !there || m.Until.IsZero() != (after == 0) || after > 0 && (m.Until.Before(began.Add(after)) || m.Until.After(began.Add(after+time.Hour))) {
				return fmt.Errorf("began at %s, %t, the machine is until %s", began, there, m.Until)
			}
			return nil
		}
	}
	r.unit(t,
		resource.TestStep{Config: machineBlock("web-1", `ttl = "soon"`), ExpectError: regexp.MustCompile(`is not a length of\s+time`)},
		resource.TestStep{Config: machineBlock("web-1", `ttl = "8h"`), Check: ends(8 * time.Hour)},
		resource.TestStep{Config: machineBlock("web-1", `ttl = "30h"`), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), Check: ends(30 * time.Hour)},
		resource.TestStep{Config: machineBlock("web-1"), ConfigPlanChecks: expect(plancheck.ResourceActionUpdate), Check: ends(0)},
	)
}
