package enginetest

import (
	"context"
	"time"

	"github.com/metalpool/metalpool/core"
)

// Program is a runner whose runs are programs on this host: each run is one call of it.
func (h *Host) Program(runs core.StepRunner) core.StepRunner { return program{h, runs} }

type program struct {
	host *Host
	runs core.StepRunner
}

func (p program) Run(ctx context.Context, r core.StepRun) error {
	return p.host.freezer.call("program", time.Time{}, func() error { return p.runs.Run(ctx, r) })
}
