// Command init is the first program in a virtual machine that costs are measured in;
// see package inside. It starts itself again as the agent.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/agent/metal"
	"github.com/metalpool/metalpool/core/deploy/wire"
	"github.com/metalpool/metalpool/lab/cost/inside"
	"github.com/metalpool/metalpool/lab/tinyos"
	"github.com/metalpool/metalpool/ramdisk/kmod"
	"github.com/metalpool/metalpool/ramdisk/netconf"
)

func main() {
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	if os.Getpid() != 1 {
		log.Error("the agent ended", "err", runAgent(log))
		os.Exit(1)
	}
	log.Error("it cannot go on", "err", run(log))
	for { // the end of init would be a panic of the kernel's
		if err := unix.Pause(); !errors.Is(err, unix.EINTR) {
			log.Error("init does not wait", "err", err)
		}
	}
}

// runAgent is the agent as the ramdisk runs it.
func runAgent(log *slog.Logger) error {
	debug.SetMemoryLimit(metal.Memory)
	area, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	params, err := wire.DecodeParams(area)
	if err != nil {
		return err
	}
	host := metal.New(metal.Config{Log: log})
	defer func() { _ = host.Close() }()
	return agent.Run(context.Background(), agent.Config{Params: params, Host: host, Log: log})
}

// run returns only where something is wrong.
func run(log *slog.Logger) error {
	for dir, kind := range map[string]string{"/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs"} {
		if err := errors.Join(os.MkdirAll(dir, 0o755), unix.Mount(kind, dir, kind, 0, "")); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	loader, err := kmod.OpenLoader("/")
	if err == nil {
		err = loader.Load(tinyos.Modules()...)
	}
	if err != nil {
		return err
	}
	if err := startNetwork(context.Background(), log); err != nil {
		return err
	}
	b := &bench{log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+inside.AgentPath, b.startAgent)
	mux.HandleFunc("GET "+inside.PeakPath, b.tellPeak)
	mux.HandleFunc("POST "+inside.AlonePath, b.measureAlone)
	mux.HandleFunc("GET "+inside.ChunkPath+"{n}", b.serveChunk)
	server := &http.Server{Addr: fmt.Sprintf(":%d", inside.Port), Handler: mux, ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

func startNetwork(ctx context.Context, log *slog.Logger) error {
	ports, err := netconf.Ports()
	if err != nil {
		return err
	}
	plan, err := netconf.Decide(ports, nil)
	if err != nil {
		return err
	}
	network, err := netconf.Start(ctx, plan, log)
	if err != nil {
		return err
	}
	<-network.Ready()
	return nil
}
