package core

import (
	"reflect"
	"testing"
)

// A copy holds all kinds that a store lists, also those that are added to it one day.
func TestCopyKnowsEveryKind(t *testing.T) {
	lists := 0
	for tx, i := reflect.TypeFor[Tx](), 0; i < tx.NumMethod(); i++ {
		m := tx.Method(i).Type
		if m.NumOut() == 1 && m.Out(0).Kind() == reflect.Func && tx.Method(i).Name != "Candidates" { // nodes, again
			lists++
		}
	}
	if got := len(new(Copied).kinds()); got != lists || lists == 0 {
		t.Errorf("a store lists %d kinds, and a copy knows %d", lists, got)
	}
}
