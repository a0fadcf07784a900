package core

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// StatsKey is what durations are told apart by, besides the job and its phase.
type StatsKey string

const (
	ByModel StatsKey = "model" // of the server
	ByImage StatsKey = "image"
	ByPool  StatsKey = "pool"
	ByNode  StatsKey = "node"
)

// StatsKeys lists every one, in the order in which they are shown.
var StatsKeys = []StatsKey{ByModel, ByImage, ByPool, ByNode}

// StatsFilter selects what durations are summed up of; zero fields select all.
type StatsFilter struct {
	Since time.Time // only work that was begun then or later
	Pool  string
	By    []StatsKey
}

// WholeJob is the phase that stands for all of a job, from its first step to its last.
const WholeJob = "all"

// PhaseStats tells how long a phase takes: a step, from the end of the one before it, or
// WholeJob. Of work that failed the steps count that it had done.
type PhaseStats struct {
	Job    Job     `json:"job"`
	Phase  string  `json:"phase"`
	Model  string  `json:"model,omitempty"`
	Image  string  `json:"image,omitempty"`
	Pool   string  `json:"pool,omitempty"`
	Node   NodeID  `json:"node,omitempty"`
	Count  int     `json:"count"`  // how often it was done
	Failed int     `json:"failed"` // how often the work ended there instead, or went on without it
	P50    Seconds `json:"p50_seconds"`
	P95    Seconds `json:"p95_seconds"`
	Max    Seconds `json:"max_seconds"`
}

// Seconds is a duration as programs read it.
type Seconds float64

// Duration is the same as Go has it.
func (s Seconds) Duration() time.Duration {
	return time.Duration(float64(s) * float64(time.Second)).Round(time.Millisecond)
}

// Stats sums up how long phases took. It reads one record per deploy and clean, one at a
// time, and no events.
func (e *Engine) Stats(ctx context.Context, f StatsFilter) ([]PhaseStats, error) {
	for _, key := range f.By {
		if !slices.Contains(StatsKeys, key) {
			return nil, &Error{Op: "sum up durations", Kind: Invalid, Err: fmt.Errorf("%q is nothing to tell them apart by", key), Hint: "name one of " + join(StatsKeys, ", ")}
		}
	}
	var all []PhaseStats
	err := e.store.View(ctx, func(tx Tx) (err error) {
		all, err = sumUp(tx.Attempts(), f)
		return err
	})
	return all, err
}

// sumUp is Stats of attempts.
func sumUp(attempts iter.Seq2[Attempt, error], f StatsFilter) ([]PhaseStats, error) {
	sums := map[PhaseStats]*phaseSum{}
	for at, err := range attempts {
		if err != nil {
			return nil, err
		}
		if at.StartedAt.Before(f.Since) || f.Pool != "" && at.Pool != f.Pool {
			continue
		}
		of := func(phase string) *phaseSum {
			key := f.key(at, phase)
			if sums[key] == nil {
				sums[key] = &phaseSum{place: math.MaxInt}
			}
			return sums[key]
		}
		for _, lap := range at.laps() {
			sum := of(lap.phase)
			sum.place = min(sum.place, lap.place)
			if slices.Contains(at.Undone, lap.phase) {
				sum.failed++
				continue
			}
			sum.took = append(sum.took, float32(lap.took.Seconds()))
		}
		switch at.Outcome {
		case GiveUp, NodeFault:
			all, stopped := of(WholeJob), of(at.StoppedAt)
			all.failed, all.place = all.failed+1, firstPlace
			stopped.failed, stopped.place = stopped.failed+1, min(stopped.place, at.placeOf(at.StoppedAt))
		}
	}
	return listed(sums), nil
}

// phaseSum gathers one line of PhaseStats.
type phaseSum struct {
	took   []float32 // seconds; half as much memory as exact ones
	failed int
	place  int // where the phase is in its job
}

func (f StatsFilter) key(at Attempt, phase string) PhaseStats {
	key := PhaseStats{Job: at.Job, Phase: phase}
	for _, by := range f.By {
		switch by {
		case ByModel:
			key.Model = at.Model
		case ByImage:
			key.Image = at.Image
		case ByPool:
			key.Pool = at.Pool
		case ByNode:
			key.Node = at.Node
		}
	}
	return key
}

// listed are the lines in the order of jobs, of what they are told apart by, and of their
// phases, the whole job first.
func listed(sums map[PhaseStats]*phaseSum) []PhaseStats {
	keys := slices.SortedFunc(maps.Keys(sums), func(a, b PhaseStats) int {
		return cmp.Or(cmp.Compare(jobPlace(a.Job), jobPlace(b.Job)),
			cmp.Compare(a.Model, b.Model), cmp.Compare(a.Image, b.Image), cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Node, b.Node),
			cmp.Compare(sums[a].place, sums[b].place), cmp.Compare(a.Phase, b.Phase))
	})
	all := make([]PhaseStats, len(keys))
	for i, line := range keys {
		sum := sums[line]
		slices.Sort(sum.took)
		line.Count, line.Failed = len(sum.took), sum.failed
		line.P50, line.P95, line.Max = rank(sum.took, 0.50), rank(sum.took, 0.95), rank(sum.took, 1)
		all[i] = line
	}
	return all
}

// jobPlace is where a job is in the life of a node.
func jobPlace(j Job) int { return slices.Index([]Job{JobPrepare, JobDeploy, JobClean}, j) }

// rank is the least of sorted values that a share of them does not exceed; 0 of none.
func rank(sorted []float32, share float64) Seconds {
	if len(sorted) == 0 {
		return 0
	}
	return Seconds(sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)])
}

// firstPlace is that of the whole job, before its steps.
const firstPlace = -1

// lap is one phase of an attempt that came to its end.
type lap struct {
	phase string
	took  time.Duration
	place int
}

// laps are the phases that an attempt has behind it, each from the end of the one before it.
func (a Attempt) laps() []lap {
	steps := slices.SortedFunc(maps.Keys(a.Met), func(x, y string) int {
		return cmp.Or(a.Met[x].Compare(a.Met[y]), cmp.Compare(a.placeOf(x), a.placeOf(y)), cmp.Compare(x, y))
	})
	var laps []lap
	last := a.StartedAt
	done := a.Outcome == Done || a.Outcome == DoneSuspect
	for _, name := range steps {
		if a.Job == JobDeploy && !done && !a.EndedAt.IsZero() && (name == stepOff || name == stepEject) {
			continue // done by who ended it
		}
		// The clocks of two hosts, or of host and store, may differ.
		took := max(0, a.Met[name].Sub(last))
		last = a.Met[name]
		laps = append(laps, lap{name, took, a.placeOf(name)})
	}
	if done {
		laps = append(laps, lap{WholeJob, max(0, a.EndedAt.Sub(a.StartedAt)), firstPlace})
	}
	return laps
}

// placeOf is where a step is in the attempt's job. One of the operator's is behind that of
// ours which was done last before it.
func (a Attempt) placeOf(name string) int {
	steps := Attempt{Job: a.Job}.plan() // without the operator's, which are gone once it has ended
	if a.Job == JobDeploy {
		steps = slices.Concat([]step{a.setUp()}, steps)
	}
	ours := func(name string) int { return slices.IndexFunc(steps, func(s step) bool { return s.name == name }) }
	if at := ours(name); at >= 0 {
		return 2 * at
	}
	when, met := a.Met[name]
	before := 0
	for other, then := range a.Met {
		if !met || then.Before(when) {
			before = max(before, ours(other))
		}
	}
	return 2*before + 1
}

// firstUnmet is the step that comes next; "" where all are done.
func (a Attempt) firstUnmet() string {
	s, _ := (&work{attempt: a}).firstUnmet(a.plan())
	return s.name
}

// ParseStatsKeys reads what durations are told apart by, such as "model,image"; "none" and
// the empty text are nothing.
func ParseStatsKeys(text string) ([]StatsKey, error) {
	var keys []StatsKey
	for word := range strings.SplitSeq(text, ",") {
		word = strings.TrimSpace(word)
		switch {
		case word == "" || word == "none":
		case !slices.Contains(StatsKeys, StatsKey(word)):
			return nil, &Error{Op: "read --by", Kind: Invalid, Err: fmt.Errorf("%q is nothing to tell durations apart by", word), Hint: "name some of " + join(StatsKeys, ", ") + ", with commas between them, or none"}
		case !slices.Contains(keys, StatsKey(word)):
			keys = append(keys, StatsKey(word))
		}
	}
	return keys, nil
}
