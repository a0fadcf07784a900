// Command docker-machine-driver-metalpool is metalpool's plugin for docker-machine,
// which starts it, reads the address that it prints, and talks to it there.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/docker/machine/libmachine/drivers/plugin"
	"github.com/docker/machine/libmachine/log"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/driver-machine/driver"
)

// version is set by the linker.
var version = "dev"

func main() {
	if open.RunWorker() {
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "--version" {
		fmt.Println("docker-machine-driver-metalpool", version)
		return
	}
	plugin.RegisterDriver(driver.New(pools{}))
}

// pools are those that core/open knows.
type pools struct{}

func (pools) Locate(url string) (string, error) { return open.Locate(url) }

func (pools) Open(ctx context.Context, url, token string) (core.Service, error) {
	return open.Service(ctx, url, open.Options{Token: token, Log: slog.New(slog.NewTextHandler(debugLog{}, nil))})
}

// debugLog is what docker-machine shows with -D. It stops reading at a line of 64
// KiB, so that none comes near.
type debugLog struct{}

func (debugLog) Write(line []byte) (int, error) {
	const most = 8 << 10
	log.Debug(string(bytes.TrimSpace(line[:min(len(line), most)])))
	return len(line), nil
}
