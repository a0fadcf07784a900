package storetest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// history is what callers asked and heard, and when by one clock: that of the process
// that asks for all of them.
type history struct {
	began time.Time

	mu      sync.Mutex
	all     []porcupine.Operation
	unheard int
	defects []error
}

// record asks, and writes down what came of it. What nobody heard the end of stays open.
func (h *history) record(client int, c call, ask func() (answer, error)) {
	called := time.Since(h.began).Nanoseconds()
	a, err := ask()
	returned := time.Since(h.began).Nanoseconds()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.defects = append(h.defects, err)
		a = answer{Says: unheard}
	}
	if a.Says == unheard {
		h.unheard++
		returned = math.MaxInt64
	}
	h.all = append(h.all, porcupine.Operation{ClientId: client, Input: c, Call: called, Output: a, Return: returned})
}

// decidable is how long a check may take: far longer than one of a history as short as
// ours.
const decidable = 5 * time.Minute

// problems says why no order of the calls explains the answers; nothing where one does.
func (h *history) problems() (found []string) {
	for _, err := range h.defects {
		found = append(found, err.Error())
	}
	for _, part := range poolModel.Partition(h.all) {
		result, info := porcupine.CheckOperationsVerbose(poolModel, part, decidable)
		if result != porcupine.Ok {
			found = append(found, fmt.Sprintf("linearizable: %s\n%s", result, explain(part, info)))
		}
	}
	return found
}

// explain lists the calls in the order in which they can be explained, as far as any
// order goes, and then the rest.
func explain(part []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []porcupine.Operation
	for _, partials := range info.PartialLinearizationsOperations() {
		for _, p := range partials {
			if len(p) > len(longest) {
				longest = p
			}
		}
	}
	var b strings.Builder
	line := func(op porcupine.Operation) {
		end := "…"
		if op.Return != math.MaxInt64 {
			end = time.Duration(op.Return).String()
		}
		fmt.Fprintf(&b, "  client %2d  %12s to %12s  %s: %s\n", op.ClientId, time.Duration(op.Call), end, op.Input, op.Output)
	}
	for _, op := range longest {
		line(op)
	}
	b.WriteString("and from there on nothing explains:\n")
	rest := slices.DeleteFunc(slices.Clone(part), func(op porcupine.Operation) bool {
		return slices.ContainsFunc(longest, func(l porcupine.Operation) bool { return l.ClientId == op.ClientId && l.Call == op.Call })
	})
	slices.SortFunc(rest, func(x, y porcupine.Operation) int { return int(x.Call - y.Call) })
	for _, op := range rest {
		line(op)
	}
	return b.String()
}

func (h *history) check(t *testing.T) {
	t.Helper()
	for _, problem := range h.problems() {
		t.Error(problem)
	}
}

// count is how often that was answered.
func (h *history) count(says verdict) (n int) {
	for _, op := range h.all {
		if op.Output.(answer).Says == says {
			n++
		}
	}
	return n
}
