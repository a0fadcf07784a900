package rackfile

import _ "embed"

//go:generate sh -c "go run ./schema > rack.schema.json.new && mv rack.schema.json.new rack.schema.json"

// Schema is the JSON Schema of a rack file, for editors.
//
//go:embed rack.schema.json
var Schema []byte
