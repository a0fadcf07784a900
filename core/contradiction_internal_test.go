package core

import (
	"fmt"
	"testing"
)

// What a step says is not written out anew for each other one that no server has with it.
func TestManyStepsAreCompared(t *testing.T) {
	var steps []Step
	for i := range 100 {
		name := fmt.Sprintf("s%d", i)
		steps = append(steps, Step{
			Name: name, Only: &StepServers{Labels: map[string]string{"rack": name}},
			RAID: &RAIDStep{Volumes: []RAIDVolume{{Name: name, RAID: "RAID1", Count: 2}}},
		})
	}
	made := testing.AllocsPerRun(1, func() {
		if err := checkTogether(steps); err != nil {
			t.Error(err)
		}
	})
	if made > float64(10*len(steps)) {
		t.Errorf("%d steps cost %v allocations", len(steps), made)
	}
}
