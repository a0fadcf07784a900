// Command terraform-provider-metalpool is metalpool's provider for Terraform and
// OpenTofu, which start it and talk to it over gRPC.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/provider-terraform/provider"
)

// version is set by the linker.
var version = "dev"

func main() {
	if open.RunWorker() {
		return
	}
	debug := flag.Bool("debug", false, "wait for a debugger, and print how Terraform attaches to it")
	about := flag.Bool("version", false, "print the version")
	flag.Parse()
	if *about {
		fmt.Println("terraform-provider-metalpool", version)
		return
	}
	var err error
	if !*debug && !logAsked(os.Getenv) {
		err = quiet()
	}
	if err == nil {
		err = providerserver.Serve(context.Background(), provider.New(version), providerserver.ServeOpts{Address: provider.Address, Debug: *debug})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "terraform-provider-metalpool:", err)
		os.Exit(1)
	}
}
