package core

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"
)

// attemptsOf yields them, and then an error, if there is one.
func attemptsOf(all []Attempt, err error) iter.Seq2[Attempt, error] {
	return func(yield func(Attempt, error) bool) {
		for _, at := range all {
			if !yield(at, nil) {
				return
			}
		}
		if err != nil {
			yield(Attempt{}, err)
		}
	}
}

func lines(all []PhaseStats) (lines []string) {
	for _, s := range all {
		name := strings.Join(slices.DeleteFunc([]string{s.Model, s.Image, s.Pool, string(s.Node)}, func(s string) bool { return s == "" }), "+")
		lines = append(lines, fmt.Sprintf("%s %s|%s n=%d f=%d %v %v %v", name, s.Job, s.Phase, s.Count, s.Failed, s.P50, s.P95, s.Max))
	}
	return lines
}

func TestSumUp(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	// attempt ends a step after each of the seconds, counted from its beginning.
	attempt := func(job Job, model, image string, outcome Trigger, steps ...any) Attempt {
		at := Attempt{Job: job, Model: model, Image: image, Pool: "p-" + model, Node: NodeID("n-" + model), StartedAt: start, Outcome: outcome, Met: map[string]time.Time{}}
		for i := 0; i < len(steps); i += 2 {
			at.EndedAt = start.Add(time.Duration(steps[i+1].(int) * int(time.Second)))
			at.Met[steps[i].(string)] = at.EndedAt
		}
		return at
	}
	deployed := attempt(JobDeploy, "R670", "debian", Done, stepRamdisk, 100, stepInspect, 101, "step bios", 131, stepWrite, 191, stepSSH, 221, "step agent", 231)
	slower := attempt(JobDeploy, "R670", "debian", Done, stepRamdisk, 300, stepInspect, 301, stepWrite, 401, stepSSH, 411)
	other := attempt(JobDeploy, "XR", "rocky", Done, stepRamdisk, 10)
	// Who gave it up has switched it off, long after.
	failed := attempt(JobDeploy, "R670", "debian", GiveUp, stepRamdisk, 200, stepInspect, 203, stepOff, 9000, stepEject, 9001)
	failed.StoppedAt = stepWrite
	released := attempt(JobDeploy, "R670", "debian", Release, stepRamdisk, 50)
	released.StoppedAt = stepInspect
	underWay := attempt(JobDeploy, "R670", "debian", "", stepRamdisk, 60)
	underWay.EndedAt = time.Time{}
	behind := attempt(JobClean, "R670", "", Done, stepOff, -5, stepRamdisk, 95) // its clock is behind the store's
	early := attempt(JobDeploy, "R670", "debian", Done, stepRamdisk, 1)
	early.StartedAt = start.Add(-time.Hour)
	all := []Attempt{deployed, slower, other, failed, released, underWay, behind, early}

	for _, tt := range []struct {
		name   string
		filter StatsFilter
		want   []string
	}{
		{"of all", StatsFilter{Since: start}, []string{
			" deploy|all n=3 f=1 231 411 411",
			" deploy|boot ramdisk n=6 f=0 60 300 300",
			" deploy|inspect n=3 f=0 1 3 3",
			" deploy|step bios n=1 f=0 30 30 30",
			" deploy|write image n=2 f=1 60 100 100",
			" deploy|ssh n=2 f=0 10 30 30",
			" deploy|step agent n=1 f=0 10 10 10",
			" clean|all n=1 f=0 95 95 95",
			" clean|power off n=1 f=0 0 0 0",
			" clean|boot ramdisk n=1 f=0 100 100 100",
		}},
		{"by model and image", StatsFilter{Since: start, By: []StatsKey{ByImage, ByModel}, Pool: "p-XR"}, []string{
			"XR+rocky deploy|all n=1 f=0 10 10 10",
			"XR+rocky deploy|boot ramdisk n=1 f=0 10 10 10",
		}},
		{"by pool and node", StatsFilter{Since: start, By: []StatsKey{ByPool, ByNode}, Pool: "p-XR"}, []string{
			"p-XR+n-XR deploy|all n=1 f=0 10 10 10",
			"p-XR+n-XR deploy|boot ramdisk n=1 f=0 10 10 10",
		}},
		{"of none", StatsFilter{Since: start.Add(time.Second)}, nil},
	} {
		got, err := sumUp(attemptsOf(all, nil), tt.filter)
		if err != nil || !slices.Equal(lines(got), tt.want) {
			t.Errorf("%s: %v\n%s\nwant\n%s", tt.name, err, strings.Join(lines(got), "\n"), strings.Join(tt.want, "\n"))
		}
	}
	torn := errors.New("torn")
	if _, err := sumUp(attemptsOf(all, torn), StatsFilter{}); !errors.Is(err, torn) {
		t.Errorf("an error of the store is %v", err)
	}
	// What differs is in lines of its own, and models in their order.
	byModel, err := sumUp(attemptsOf(all, nil), StatsFilter{By: []StatsKey{ByModel}})
	if err != nil || byModel[0].Model != "R670" || byModel[len(byModel)-1].Job != JobClean || !slices.ContainsFunc(byModel, func(s PhaseStats) bool { return s.Model == "XR" && s.Count == 1 }) {
		t.Errorf("by model: %v\n%s", err, strings.Join(lines(byModel), "\n"))
	}
}

func TestRank(t *testing.T) {
	hundred := make([]float32, 100)
	for i := range hundred {
		hundred[i] = float32(i + 1)
	}
	for _, tt := range []struct {
		sorted        []float32
		p50, p95, max Seconds
	}{
		{nil, 0, 0, 0},
		{[]float32{7}, 7, 7, 7},
		{[]float32{1, 9}, 1, 9, 9},
		{hundred, 50, 95, 100},
		{hundred[:20], 10, 19, 20},
	} {
		if p50, p95, most := rank(tt.sorted, .5), rank(tt.sorted, .95), rank(tt.sorted, 1); p50 != tt.p50 || p95 != tt.p95 || most != tt.max {
			t.Errorf("of %d values: %v %v %v, want %v %v %v", len(tt.sorted), p50, p95, most, tt.p50, tt.p95, tt.max)
		}
	}
}

func TestParseStatsKeys(t *testing.T) {
	for text, want := range map[string][]StatsKey{"": nil, "none": nil, "model": {ByModel}, " image , model,image": {ByImage, ByModel}} {
		if got, err := ParseStatsKeys(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	if _, err := ParseStatsKeys("model,rack"); !Is(err, Invalid) || !strings.Contains(err.Error(), `"rack"`) || !strings.Contains(err.Error(), "model, image, pool, node") {
		t.Errorf("an unknown key: %v", err)
	}
}
