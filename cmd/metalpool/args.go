package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// exactly takes one argument for each name; those in brackets may be left out.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) && !strings.HasPrefix(names[len(args)], "[") {
			return missing(names[len(args)])
		}
		if len(args) > len(names) {
			return fmt.Errorf("unexpected argument %q", args[len(names)])
		}
		return nil
	}
}

// optional takes one argument or none.
func optional(name string) cobra.PositionalArgs { return exactly("[" + name + "]") }

// some takes one argument or more.
func some(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return missing(name)
		}
		return nil
	}
}

func missing(name string) error {
	return fmt.Errorf("which %s? the argument %s is missing", strings.ToLower(name), name)
}
