//go:build campaign

package open

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// What a build for internal/campaign reads besides. The names are not metalpool's, so
// that a worker, too, is given them.
const (
	// EnvCampaignTiming is a core.Timing as JSON.
	EnvCampaignTiming = "CAMPAIGN_TIMING"
	// EnvCampaignClock names a file that says how far this host's clock is off, as a
	// duration. It is read each time, since a clock may step.
	EnvCampaignClock = "CAMPAIGN_CLOCK"
)

func init() {
	if text := os.Getenv(EnvCampaignTiming); text != "" {
		if err := json.Unmarshal([]byte(text), &timing); err != nil {
			panic(fmt.Sprintf("%s: %v", EnvCampaignTiming, err))
		}
	}
	if file := os.Getenv(EnvCampaignClock); file != "" {
		clock = func() time.Time {
			text, _ := os.ReadFile(file)
			off, _ := time.ParseDuration(string(text)) // a file that is just being written tells nothing
			return time.Now().Round(0).Add(off)        // a step does not show in the monotonic clock
		}
	}
}
