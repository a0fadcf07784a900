package main

import (
	"errors"
	"os"
	"slices"
)

// logSettings are those by which somebody asks for a provider's log.
var logSettings = []string{"TF_LOG", "TF_LOG_PROVIDER", "TF_LOG_PROVIDER_METALPOOL", "TF_LOG_SDK", "TF_LOG_SDK_FRAMEWORK", "TF_LOG_SDK_PROTO"}

// logAsked reports whether anybody is going to read what the provider logs.
func logAsked(getenv func(string) string) bool {
	return slices.ContainsFunc(logSettings, func(name string) bool { return getenv(name) != "" })
}

// quiet turns the log off. Terraform lets a provider write down all that it could tell,
// as JSON, and parses each line before it throws it away: of a plan that is half of
// what both of them have to do.
func quiet() error {
	return errors.Join(os.Setenv("TF_LOG_SDK", "off"), os.Setenv("TF_LOG_PROVIDER_METALPOOL", "off"))
}
