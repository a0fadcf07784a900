package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

func takeOverFlag(cmd *cobra.Command, takeOver *bool, what string) {
	cmd.Flags().BoolVar(takeOver, "take-over", false, what+" also what a file or Terraform has declared")
}

// takeOver has what is there be the command line's from now on, as it is.
func takeOver(ctx context.Context, e core.Operator, d core.Declaration) error {
	d.By = core.DeclaredOnCommandLine
	_, err := e.Apply(ctx, d, core.ApplyOptions{TakeOver: true})
	return err
}
