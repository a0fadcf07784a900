package main

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
)

// The schema that is kept is that of the types.
func TestTheSchemaIsThatOfTheCode(t *testing.T) {
	var made bytes.Buffer
	if err := write(&made, "../../.."); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made.Bytes(), rackfile.Schema) {
		t.Error("core/rackfile/rack.schema.json is not that of the code; run 'make generate'")
	}
}

// A kind of step is called in a file as its field is.
func TestKindsAreFieldsOfAStep(t *testing.T) {
	fields := map[string]bool{}
	step := reflect.TypeFor[core.Step]()
	for i := range step.NumField() {
		name, _, _ := strings.Cut(step.Field(i).Tag.Get("yaml"), ",")
		fields[name] = true
	}
	for _, kind := range core.KindFields() {
		if !fields[kind] {
			t.Errorf("no field of a step is called %s", kind)
		}
	}
}
