package core_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// An error is one sentence: what was asked, what there is, why, what to do next, and
// nothing of it twice, however many errors are in each other.
func TestErrorsSayEverythingOnce(t *testing.T) {
	why := errors.New("no media slot")
	media := &core.Error{Op: "insert media", Node: "n1", Kind: core.Backend, Err: why, Hint: "look at it"}
	for want, err := range map[string]error{
		"deploy web-1 (node n1): insert media: backend: no media slot; look at it; try again":          &core.Error{Op: "deploy", Allocation: "web-1", Node: "n1", Kind: core.Backend, Err: media, Hint: "try again"},
		"deploy (node n2): insert media (node n1): backend: no media slot; look at it":                 &core.Error{Op: "deploy", Node: "n2", Kind: core.Backend, Err: media},
		"deploy web-1: timeout: insert media (node n1): backend: no media slot; look at it":            &core.Error{Op: "deploy", Allocation: "web-1", Kind: core.Timeout, Err: media},
		"insert media (node n1): backend: no media slot":                                               &core.Error{Op: "insert media", Node: "n1", Kind: core.Backend, Err: &core.Error{Op: "insert media", Node: "n1", Kind: core.Backend, Err: why}},
		"a (node n1): b: c: backend: no media slot":                                                    &core.Error{Op: "a", Node: "n1", Kind: core.Backend, Err: &core.Error{Op: "b", Kind: core.Backend, Err: &core.Error{Op: "c", Node: "n1", Kind: core.Backend, Err: why}}},
		"deploy (node n1): backend: first: insert media (node n1): backend: no media slot; look at it": &core.Error{Op: "deploy", Node: "n1", Kind: core.Backend, Err: fmt.Errorf("first: %w", media)},
		// That it is refused is what the sentence says.
		"change pool gold: it is declared by terraform; change it there": &core.Error{Op: "change pool gold", Kind: core.Exists, Err: errors.New("it is declared by terraform"), Hint: "change it there"},
		"read size: \"64\" is not a size":                                &core.Error{Op: "read size", Kind: core.Invalid, Err: errors.New(`"64" is not a size`)},
		"deploy web-1: exists":                                           &core.Error{Op: "deploy", Allocation: "web-1", Kind: core.Exists},
		"find (node n1): not found":                                      &core.Error{Op: "find", Node: "n1", Kind: core.NotFound},
	} {
		if got := err.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
