package redfish_test

import (
	"testing"

	"github.com/metalpool/metalpool/core/backend/backendtest"
	"github.com/metalpool/metalpool/lab/bmc"
)

// TestConformance runs the suite against every vendor's manners that the lab has.
func TestConformance(t *testing.T) {
	for _, manners := range bmc.All() {
		t.Run(manners.Name, func(t *testing.T) {
			backendtest.Run(t, func(t *testing.T) backendtest.Rig {
				r := newConsoleRig(t, manners)
				return backendtest.Rig{
					Console:   r.conformance(),
					Connector: r.connector,
					Endpoint:  r.endpoint,
					Password:  password,
					Images:    r.images,
					Writes:    func() int { return len(r.writes()) },
					Power:     func() string { return string(r.machine.Power()) },
					Inserted:  r.inserted,
					Once:      r.once,
				}
			})
		})
	}
}
