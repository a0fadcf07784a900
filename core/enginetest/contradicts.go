package enginetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/metalpool/metalpool/core"
)

// Contradicts says what there is on the servers that should not be, as far as a store says
// what their nodes are: somebody's data on a node that may be claimed, a system that is not
// its owner's, or what a clean was to leave behind and has not.
func (r *Rack) Contradicts(nodes []core.Node) (found []string) {
	for _, n := range nodes {
		s := r.Server(n.ID)
		if s == nil {
			continue
		}
		now := s.Look()
		bad := func(format string, args ...any) {
			found = append(found, fmt.Sprintf("node %s is %s: ", n.ID, n.State)+fmt.Sprintf(format, args...))
		}
		if n.State == core.Available || n.State == core.Allocated {
			for _, serial := range slices.Sorted(maps.Keys(now.Disks)) {
				if d := now.Disks[serial]; d != (Disk{}) {
					bad("disk %s holds %s of %+v", serial, d.Image, d.Seed)
				}
			}
			if now.Power != core.PowerOff || now.Media != "" || now.Once {
				bad("it was left with power %s, media %q, boot once %t", now.Power, now.Media, now.Once)
			}
		}
		if n.State == core.Deployed && (now.System == nil || now.System.InstanceID != string(n.Attempt)) {
			bad("attempt %s is not what runs: %+v", n.Attempt, now.System)
		}
		if n.State == core.Deployed && (now.Media != "" || now.Once) {
			bad("media %q, boot once %t", now.Media, now.Once)
		}
		told := n.State == core.Quarantined && strings.Contains(n.Reason, "could not be switched off")
		if now.System != nil && !n.State.Owned() && !n.State.Working() && !told {
			bad("a system runs on it: %+v", now.System)
		}
	}
	return found
}
