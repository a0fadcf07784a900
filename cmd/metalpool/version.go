package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker; see GNUmakefile.
var version string

// thisVersion is the linker's, else what `go install` knows.
func thisVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "dev"
}

type versionView struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func versionCommand(a *app) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Which metalpool this is",
		Example: "  metalpool version -o json",
		Args:    exactly(),
		RunE: a.run(func(context.Context, []string) error {
			v := versionView{thisVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH}
			if o.json() {
				return a.printJSON(v)
			}
			_, err := fmt.Fprintf(a.out, "metalpool %s (%s, %s/%s)\n", v.Version, v.Go, v.OS, v.Arch)
			return err
		}),
	}
	o.add(cmd)
	return cmd
}
