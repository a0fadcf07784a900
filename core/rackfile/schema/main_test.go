package main

import (
	"bytes"
	"testing"

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
