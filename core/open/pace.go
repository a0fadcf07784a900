package open

import (
	"time"

	"github.com/metalpool/metalpool/core"
)

// The pace of what is opened: how long leases and calls last, and the clock of a store in
// a file. Nobody can set it from outside, for every process on a store has to keep to the
// same; a build with the tag campaign can, see pace_campaign.go. Zero is the default.
var (
	timing core.Timing
	clock  func() time.Time
)
