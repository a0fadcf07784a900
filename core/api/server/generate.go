package server

//go:generate sh -c "go run ./openapi > ../../../docs/openapi.yaml"
