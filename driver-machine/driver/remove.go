package driver

import (
	"context"
	"errors"

	"github.com/docker/machine/libmachine/log"

	"github.com/metalpool/metalpool/core"
)

// Remove implements drivers.Driver. It goes by the allocation's ID alone, so that
// it works after a create that failed or was killed anywhere, and again and again.
func (d *Driver) Remove() error {
	if d.AllocationID == "" {
		return d.explain(&core.Error{Op: "release", Allocation: d.MachineName, Kind: core.Invalid,
			Err:  errors.New("docker-machine's record of it holds no allocation ID"),
			Hint: "look it up with 'metalpool machine list', release it with 'metalpool machine release', then 'docker-machine rm -f' forgets the record"})
	}
	limit := core.ReleasePatience
	if d.WaitClean {
		limit = core.CleanPatience
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	service, err := d.pool(ctx)
	if err != nil {
		return d.explain(err)
	}
	before, err := service.Machine(ctx, d.AllocationID)
	held := err == nil && before.Node != "" && !before.State.Ended()
	options := core.ReleaseOptions{WaitClean: d.WaitClean, Reason: "docker-machine rm"}
	if err := service.Release(ctx, d.AllocationID, options, newProgress(log.Info)); err != nil {
		return d.explain(err)
	}
	if held && !d.WaitClean {
		log.Infof("%s: given back; it is erased before anybody gets it", before.Node)
	}
	if err := removeKeyPair(d.GetSSHKeyPath()); err != nil {
		return d.explain(localFault("the server was given back; remove its SSH key", d.GetSSHKeyPath(), err))
	}
	return nil
}
