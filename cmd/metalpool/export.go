package main

import (
	"context"
	"fmt"
	"reflect"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/rackfile"
)

func exportCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Print what is declared as a rack file",
		Long: `Export prints pools, nodes, images, steps and profiles as a rack file, which can be
applied. BMC passwords are not in it: where they are found is, if that is kept. Nor
are the sources of images whose address is a key.`,
		Example: "  metalpool export > rack.yaml",
		Args:    exactly(),
		RunE: a.reads(func(ctx context.Context, e core.Operator, _ []string) error {
			f, err := exported(ctx, e)
			if err != nil {
				return err
			}
			if len(f.Nodes) > 0 {
				fmt.Fprintln(a.out, "# Passwords of BMCs are not in it; where it is applied they stay as they are.")
			}
			return f.Print(a.out)
		}),
	}
}

// exported is all that is declared.
func exported(ctx context.Context, e core.Operator) (f rackfile.File, err error) {
	images, err := e.Images(ctx)
	if err != nil {
		return f, err
	}
	for _, i := range images {
		d := i.Declaration()
		if publicURL(d.Source) != d.Source {
			d.Source = "" // where it is applied it stays as it is
		}
		f.Images = append(f.Images, d)
	}
	if f.Steps, err = e.Steps(ctx); err != nil {
		return f, err
	}
	if f.Profiles, err = e.Profiles(ctx); err != nil {
		return f, err
	}
	pools, err := e.Pools(ctx)
	if err != nil {
		return f, err
	}
	for _, p := range pools {
		if reflect.DeepEqual(p, core.Pool{Name: core.DefaultPool}) {
			continue // it is there without being declared
		}
		f.Pools = append(f.Pools, p.Policy())
	}
	nodes, err := e.Nodes(ctx, core.NodeFilter{})
	for _, n := range nodes {
		f.Nodes = append(f.Nodes, rackfile.Export(n))
	}
	return f, err
}

func schemaCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of rack files, for editors",
		Long: `Schema prints the JSON Schema of rack files. An editor with a YAML language server
completes and checks a file whose first line is

  # yaml-language-server: $schema=rack.schema.json`,
		Example: "  metalpool schema > rack.schema.json",
		Args:    exactly(),
		RunE: a.run(func(context.Context, []string) error {
			_, err := a.out.Write(rackfile.Schema)
			return err
		}),
	}
}
