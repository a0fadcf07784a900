package core

//go:generate go run ./internal/lifecycle/generate ../docs/architecture.md
