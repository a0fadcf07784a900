package steps

import (
	"context"

	"github.com/metalpool/metalpool/core"
)

// CloudInit has cloud-init do what a fragment of cloud-config says.
type CloudInit struct{}

// Run implements core.StepRunner. The fragment is kept with the deploy: cloud-init finds
// it on the disk.
func (CloudInit) Run(ctx context.Context, r core.StepRun) error {
	text, err := r.Expand(r.Step.CloudInit.Config, func(name string) (string, error) { return r.Secret(ctx, name) })
	if err != nil {
		return &core.Error{Op: "make fragment", Kind: core.Invalid, Err: err}
	}
	return r.AtFirstBoot(ctx, text)
}
