package campaign

import (
	"testing"
	"time"
)

func TestRecovery(t *testing.T) {
	deploying := nodeState{State: "Deploying", Since: at(0), By: "a"}
	samples := []sample{
		{at(10), map[string]nodeState{"n1": deploying, "n2": {State: "Cleaning", Since: at(1)}}},
		{at(12), map[string]nodeState{"n1": deploying, "n2": {State: "Available", Since: at(11)}}},
		{at(20), map[string]nodeState{"n1": {State: "Deployed", Since: at(19), By: "a"}, "n2": {State: "Cleaning", Since: at(18)}}},
	}
	works := []done{{began: at(8), ended: at(11), changed: true}, {began: at(10), ended: at(11)}, {began: at(11), ended: at(13), changed: true}}
	for _, test := range []struct {
		name string
		of   struck
		ops  []done
		want time.Duration // 0: not known
	}{
		{"until all that was at work has moved on", struck{at: at(9)}, works, 11 * time.Second},
		{"of one node, until something works", struck{at: at(9), node: "n2"}, works, 4 * time.Second},
		{"of one machine", struck{at: at(9), machine: "a"}, works, 11 * time.Second},
		{"of a machine that is nowhere", struck{at: at(9), machine: "z"}, works, 4 * time.Second},
		{"nothing has worked since", struck{at: at(9)}, works[:2], 0},
		{"a node that is still at it", struck{at: at(13)}, []done{{began: at(14), ended: at(15), changed: true}}, 0},
		{"nobody has looked since", struck{at: at(30)}, works, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			took, known := recovery(test.of, samples, test.ops)
			if known != (test.want > 0) || took != test.want {
				t.Errorf("it took %s (%t), want %s", took, known, test.want)
			}
		})
	}
}
