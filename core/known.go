package core

import (
	"errors"
	"slices"
	"strings"

	"github.com/metalpool/metalpool/core/internal/spelling"
)

// knownMost is how many names an error lists; of more it tells those that are alike.
const knownMost = 8

// thereAre is advice for who named something that is not there. It tells what is, and
// never which to take: the name may be that of something to be erased.
func thereAre[T any](asked string, things []T, name func(T) string, list string) string {
	names := make([]string, len(things))
	for i, thing := range things {
		names[i] = name(thing)
	}
	if n := len(names); n > 0 && n <= knownMost {
		return "there are: " + strings.Join(names, ", ")
	}
	names = slices.DeleteFunc(names, func(s string) bool { return !alike(asked, s) })
	if n := len(names); n > 0 && n <= knownMost {
		return "alike are: " + strings.Join(names, ", ") + "; see '" + list + "'"
	}
	return "see '" + list + "'"
}

// meant is advice as thereAre gives it, for what nothing is lost with: it says which was
// meant, where one comes close.
func meant[T any](asked string, things []T, name func(T) string, list string) string {
	best, least := "", max(1, len(asked)/3)+1
	for _, thing := range things {
		if n := len(asked) - len(name(thing)); max(n, -n) > least {
			continue // as many must be taken out, or put in, at the least
		}
		if d := spelling.Distance(asked, name(thing)); d < least || alike(asked, name(thing)) && d == least {
			best, least = name(thing), d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return thereAre(asked, things, name, list)
}

// alike reports whether two names are one slip apart: a character too many, too few,
// another one, or two that changed places; or two that differ in case.
func alike(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	x, y := []rune(a), []rune(b)
	for len(x) > 0 && len(y) > 0 && x[0] == y[0] {
		x, y = x[1:], y[1:]
	}
	for len(x) > 0 && len(y) > 0 && x[len(x)-1] == y[len(y)-1] {
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	swapped := len(x) == 2 && len(y) == 2 && x[0] == y[1] && x[1] == y[0]
	return len(x) <= 1 && len(y) <= 1 || swapped
}

// noSuchNode tells of a node that is not there which there are.
func noSuchNode(tx Tx, op string, id NodeID) error {
	nodes, err := collect(tx.Nodes(NodeFilter{}))
	if err != nil {
		return err
	}
	hint := thereAre(string(id), nodes, func(n Node) string { return string(n.ID) }, "metalpool node list")
	return &Error{Op: op, Node: id, Kind: NotFound, Err: errors.New("no such node"), Hint: hint}
}
