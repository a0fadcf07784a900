//go:build campaign

// Command caller asks a pool for what an adapter asks for and the operator's command
// does not: a deploy anew, an allocation without one, the release of an ID that nobody
// knows. It prints the machine as JSON, or complains as metalpool does.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
)

func main() {
	if open.RunWorker() {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "caller:", err)
		os.Exit(1)
	}
}

// run does `allocate ID OWNER NAME`, `redeploy ID USER-DATA-FILE REVISION`, `abandon ID`.
func run(ctx context.Context, args []string) error {
	service, err := open.Operator(ctx, "", open.Options{})
	if err != nil {
		return err
	}
	defer service.Close()
	var m core.Machine
	switch {
	case len(args) == 4 && args[0] == "allocate":
		m, err = service.Allocate(ctx, core.Order{ID: core.AllocationID(args[1]), Owner: args[2], Name: args[3], Wait: 2 * time.Second, AcquireTimeout: 20 * time.Second}, nil)
	case len(args) == 4 && args[0] == "redeploy":
		o := core.Order{ID: core.AllocationID(args[1]), Revision: args[3], DeployTimeout: time.Minute}
		if o.UserData, err = os.ReadFile(args[2]); err == nil {
			m, err = service.Deploy(ctx, o, nil)
		}
	case len(args) == 2 && args[0] == "abandon":
		err = service.Release(ctx, core.AllocationID(args[1]), core.ReleaseOptions{Reason: "nobody waits for it any more"}, nil)
	default:
		err = fmt.Errorf("what is %q?", args)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(m)
}
