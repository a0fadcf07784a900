// Command openapi prints the API's document, as YAML.
package main

import (
	"fmt"
	"os"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/api/server"
)

func main() {
	text, err := server.New(server.Config{Pool: (*core.Engine)(nil)}).OpenAPI()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if _, err := os.Stdout.Write(text); err != nil {
		os.Exit(1)
	}
}
