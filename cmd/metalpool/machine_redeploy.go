package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
)

func machineRedeployCommand(a *app) *cobra.Command {
	var (
		owner  ownerFlag
		system systemFlags
		id     string
		yes    bool
		output outputFlag
	)
	cmd := &cobra.Command{
		Use:   "redeploy MACHINE",
		Short: "Deploy a machine again, on the same server",
		Long: `Redeploy writes a machine's root disk over: the same image, profile, host name, user
and keys again, or what the flags say instead. The server's other disks stay as they
are. The machine gets new SSH host keys.

User data and the script of --post-deploy are not kept by the pool: give them again, or
the machine is deployed without. Where it is not known beforehand that nobody needs what
is on the disk, it is asked; --yes says so at once. ` + machineWords,
		Example: `  metalpool machine redeploy web-1
  metalpool machine redeploy web-1 --image debian-13 --post-deploy setup.sh --yes
  metalpool machine redeploy alice/ci-1 --profile bare`,
		Args:              exactly("MACHINE"),
		ValidArgsFunction: a.completeArgs(machineNames),
	}
	f := cmd.Flags()
	owner.add(cmd, "whose machine a name means")
	const same = "as it is"
	system.add(cmd, a, systemDefaults{image: same, profile: same, keys: same, hostname: same, sshUser: same, sshPort: same})
	f.StringVar(&id, "id", "", "the request's `ID`; the same again is the same request, and goes on with it (default: a new one)")
	f.BoolVar(&yes, "yes", false, "ask nothing: what is on its root disk may be lost")
	output.add(cmd)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		var asked core.Order
		if err := system.read(a.in, &asked); err != nil {
			return asUsage(err)
		}
		if len(system.keys) > 0 {
			var err error
			if asked.Keys, err = readKeys(system.keys); err != nil {
				return asUsage(err)
			}
		}
		return a.with(ctx, open.Options{}, func(ctx context.Context, e core.Operator) error {
			m, err := owner.machine(ctx, e, args[0])
			if err != nil {
				return err
			}
			again, err := m.Again(id)
			if err != nil {
				return err
			}
			asked.ID, asked.Revision = again.ID, again.Revision
			if !cmd.Flags().Changed("profile") {
				asked.Profile = again.Profile
			}
			if err := e.CheckDeploy(ctx, asked); err != nil {
				return err
			}
			if !yes {
				if err := a.agreed("its root disk is written over", fmt.Sprintf("%s is deployed again on %s: what is on its root disk is lost.", holder{m}.label(), m.Node)); err != nil {
					return err
				}
			}
			return a.redeploy(ctx, e, asked, args[0], output)
		})
	})
	return cmd
}

func (a *app) redeploy(ctx context.Context, e core.Operator, order core.Order, called string, o outputFlag) error {
	began := time.Now()
	p := a.progress()
	m, err := e.Deploy(ctx, order, p.report)
	p.stop()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
			a.note("to go on with it: the same command with --id %s", order.Revision)
			return cause // what is to be known of it was just said
		}
		release := ", 'metalpool machine release " + called + "' gives it back"
		err, _ = adviseOf(err, "the same command tries again"+release, "the same command with --id "+order.Revision+" goes on with it"+release)
		return err
	}
	if o.json() {
		return a.showMachine(ctx, e, m, o)
	}
	return a.sayReady(m, called, time.Since(began))
}
