// Command generate puts the life cycle's diagram into the page that it is given.
package main

import (
	"fmt"
	"os"

	"github.com/metalpool/metalpool/core/internal/lifecycle"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := lifecycle.Insert(string(page))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
