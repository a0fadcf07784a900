// Command docker-machine is the real docker-machine 0.16.2: all of its commands,
// and of its built-in drivers the one that needs no cloud, "none". It is built
// here because no distribution packages it any more, so that the demo and the
// tests drive metalpool through the program that users have.
package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/codegangsta/cli"
	"github.com/docker/machine/commands"
	"github.com/docker/machine/commands/mcndirs"
	"github.com/docker/machine/drivers/none"
	"github.com/docker/machine/libmachine/crashreport"
	"github.com/docker/machine/libmachine/drivers/plugin"
	"github.com/docker/machine/libmachine/drivers/plugin/localbinary"
	"github.com/docker/machine/libmachine/log"
	"github.com/docker/machine/version"
)

// noReport keeps failures on this machine. Upstream sends the log of a failed
// create, debug lines included, to Bugsnag.
type noReport struct{}

func (noReport) Send(crashreport.CrashError) error { return nil }

func main() {
	// libmachine serves a built-in driver by starting this binary again, with
	// the token in its environment.
	if os.Getenv(localbinary.PluginEnvKey) == localbinary.PluginEnvVal {
		plugin.RegisterDriver(none.NewDriver("", ""))
		return
	}
	localbinary.CurrentBinaryIsDockerMachine = true
	localbinary.CoreDrivers = []string{"none"}
	crashreport.NewCrashReporter = func(string, string) crashreport.CrashReporter { return noReport{} }
	debug, _ := strconv.ParseBool(os.Getenv("MACHINE_DEBUG"))
	log.SetDebug(debug || slices.Contains(os.Args, "-D") || slices.Contains(os.Args, "--debug"))

	app := cli.NewApp()
	app.Name = filepath.Base(os.Args[0])
	app.Usage = "Create and manage machines running Docker."
	app.Version = version.FullVersion()
	app.Commands = commands.Commands
	app.CommandNotFound = func(c *cli.Context, command string) {
		log.Errorf("%s: '%s' is not a %s command. See '%s --help'.", c.App.Name, command, c.App.Name, os.Args[0])
		os.Exit(1)
	}
	app.Flags = []cli.Flag{
		cli.BoolFlag{Name: "debug, D", Usage: "Enable debug mode"},
		cli.StringFlag{Name: "storage-path, s", EnvVar: "MACHINE_STORAGE_PATH", Value: mcndirs.GetBaseDir(), Usage: "Where machines are kept"},
		cli.StringFlag{Name: "tls-ca-cert", EnvVar: "MACHINE_TLS_CA_CERT", Usage: "CA to verify remotes against"},
		cli.StringFlag{Name: "tls-ca-key", EnvVar: "MACHINE_TLS_CA_KEY", Usage: "Private key to generate certificates"},
		cli.StringFlag{Name: "tls-client-cert", EnvVar: "MACHINE_TLS_CLIENT_CERT", Usage: "Client certificate to use for TLS"},
		cli.StringFlag{Name: "tls-client-key", EnvVar: "MACHINE_TLS_CLIENT_KEY", Usage: "Private key used in client TLS"},
		cli.StringFlag{Name: "github-api-token", EnvVar: "MACHINE_GITHUB_API_TOKEN", Usage: "Token for the GitHub API"},
		cli.BoolFlag{Name: "native-ssh", EnvVar: "MACHINE_NATIVE_SSH", Usage: "Use the native (Go-based) SSH implementation"},
		// GitLab Runner passes this one on every call.
		cli.StringFlag{Name: "bugsnag-api-token", EnvVar: "MACHINE_BUGSNAG_API_TOKEN", Usage: "Accepted; this build reports to nobody"},
	}
	if err := app.Run(os.Args); err != nil {
		log.Error(err)
		os.Exit(1)
	}
}
