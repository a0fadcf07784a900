// Package bench keeps what `make bench` measures: ratios taken in one run, each
// against something that was measured beside it.
package bench

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"
)

// Result is one line of bench.json.
type Result struct {
	Name    string  `json:"name"`
	Value   float64 `json:"value"`
	Op      string  `json:"op"` // ">=" or "<="
	Bound   float64 `json:"bound"`
	Unit    string  `json:"unit"`
	Against string  `json:"against"` // what the value was measured against
	OK      bool    `json:"ok"`
}

// Environment names the variable that holds the path of bench.json.
const Environment = "METALPOOL_BENCH_JSON"

// Record compares a value with its bound and keeps the line in bench.json, where a line of the same name is replaced. A missed bound is
// recorded, not hidden and not fatal: a machine that is busy is no defect.
func Record(t *testing.T, r Result) {
	t.Helper()
	switch r.Op {
	case ">=":
		r.OK = r.Value >= r.Bound
	case "<=":
		r.OK = r.Value <= r.Bound
	default:
		t.Fatalf("bench %s: op %q", r.Name, r.Op)
	}
	t.Logf("%s: %.3f %s (bound: %s %g, against %s)", r.Name, r.Value, r.Unit, r.Op, r.Bound, r.Against)
	path := os.Getenv(Environment)
	if path == "" {
		return
	}
	results, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	results = slices.DeleteFunc(results, func(old Result) bool { return old.Name == r.Name })
	text, err := json.MarshalIndent(append(results, r), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Tell keeps text for people beside bench.json, with ".txt" at its end: what the
// numbers were spent on.
func Tell(t *testing.T, text string) {
	t.Helper()
	t.Log("\n" + text)
	path := os.Getenv(Environment)
	if path == "" {
		return
	}
	f, err := os.OpenFile(path+".txt", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// Read reads bench.json; one that is not there yet is empty.
func Read(path string) ([]Result, error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var results []Result
	return results, json.Unmarshal(text, &results)
}

// Median of the values, which must not be empty.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
