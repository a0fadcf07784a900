package redfish_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab/bmc"
)

// A request that is sent again is told of, though its verb succeeds: with what the BMC
// answered, and without the password.
func TestAskedAgainIsTold(t *testing.T) {
	r := newRig(t, nil)
	b := r.enrolled()
	r.fault(bmc.Fault{On: bmc.PowerRead, Kind: bmc.Fail, Status: http.StatusServiceUnavailable, Count: 2})
	var told []string
	ctx := core.WhileAsking(t.Context(), func(why string) { told = append(told, why) })
	if _, err := b.Power(ctx); err != nil {
		t.Fatal(err)
	}
	if len(told) != 2 || !strings.HasPrefix(told[0], "GET /redfish/v1/Systems/") || !strings.Contains(told[0], ": answered 503 Service Unavailable") || strings.Contains(strings.Join(told, ""), password) {
		t.Errorf("told %q", told)
	}
	told = nil
	if _, err := b.Power(ctx); err != nil || len(told) > 0 {
		t.Errorf("without a fault: %q, %v", told, err)
	}
}
