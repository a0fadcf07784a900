package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
)

// createFlags are the texts of an order, with the names and the meaning that the
// flags of the docker-machine driver have.
type createFlags struct {
	owner                     ownerFlag
	system                    systemFlags
	id, pool, node            string
	labels, arch, memory      string
	disk, nic, gpus, place    string
	wait, acquireTimeout, ttl string
	cpus                      int
	output                    outputFlag
}

func machineCreateCommand(a *app) *cobra.Command {
	var flags createFlags
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Take a server, put an OS and your keys on it",
		Long: `Create takes a node that fits, deploys the image to it, and returns when it answers
SSH with the host key that was made for it. A node that fails by its own fault is
set aside, and another one is taken.

When create was interrupted or failed, the same command again goes on with it, and
'metalpool machine release NAME' gives it up.`,
		Example: `  metalpool machine create web-1
  metalpool machine create db-1 --cpus 32 --memory 256GiB --disk 2x1.6TB,nvme --place spread=rack
  metalpool machine create ci-1 --image debian --init-file setup.yaml --wait 30m`,
		Args: exactly("NAME"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			order, err := flags.order(a, args[0])
			if err != nil {
				return err
			}
			return a.with(ctx, open.Options{}, func(ctx context.Context, e core.Operator) error {
				return a.create(ctx, e, order, flags.output)
			})
		}),
	}
	f := cmd.Flags()
	flags.owner.add(cmd, "who owns the machine")
	flags.system.add(cmd, a, systemDefaults{
		image: "the pool's", profile: "the pool's", keys: "~/.ssh/*.pub", hostname: "NAME", sshUser: "the image's", sshPort: "the node's",
		deployTimeout: ", other nodes after a failed one included",
	})
	f.StringVar(&flags.id, "id", "", "the allocation's `ID`; the same again is the same request (default: a new one)")
	f.StringVar(&flags.pool, "pool", core.DefaultPool, "`pool` to take a server from")
	f.StringVar(&flags.node, "node", "", "take exactly this `node`")
	f.StringVar(&flags.labels, "labels", "", "`conditions` on the node's labels: rack=r1,tier!=test,gpu exists,zone in (a,b)")
	f.StringVar(&flags.arch, "arch", "", "`architecture`: amd64 or arm64 (default: the image's)")
	f.IntVar(&flags.cpus, "cpus", 0, "logical CPUs, at least so `many`")
	f.StringVar(&flags.memory, "memory", "", "memory, at least this `size`: 64GiB")
	f.StringVar(&flags.disk, "disk", "", "at least these `disks`: 2x480GB,ssd+4x8TB,hdd")
	f.StringVar(&flags.nic, "nic", "", "at least these network `ports`: 2x25G+1G")
	f.StringVar(&flags.gpus, "gpus", "", "at least these `GPUs`: 2, or 2xA100")
	f.StringVar(&flags.place, "place", "", "`where`, next to your other machines: spread=rack, or together=zone")
	f.StringVar(&flags.wait, "wait", "", "how `long` to queue while all matching nodes are taken: 30m")
	f.StringVar(&flags.acquireTimeout, "acquire-timeout", "5m", "how `long` a node may be held before its deploy begins")
	f.StringVar(&flags.ttl, "ttl", "", "how `long` to keep it once it has a node: 8h; then it is released, whatever runs on it (default: until it is released)")
	flags.output.add(cmd)
	completeWith(cmd, "pool", a, poolNames)
	completeWith(cmd, "node", a, nodeIDs)
	complete(cmd, "arch", "amd64", "arm64")
	return cmd
}

// order reads the flags. What cannot be read is a usage error, before any node is
// looked at.
func (f *createFlags) order(a *app, name string) (core.Order, error) {
	o := core.Order{
		ID: core.AllocationID(f.id), Owner: f.owner.name(), Name: name,
		Request: core.Request{Pool: f.pool, Node: core.NodeID(f.node), CPUs: f.cpus},
	}
	if f.id == "" {
		o.ID = core.AllocationID(core.NewID("m"))
	}
	r := &o.Request
	for _, read := range []func() error{
		func() (err error) { r.Labels, err = core.ParseSelectors(f.labels); return },
		func() (err error) { r.Arch, err = core.ParseArch(f.arch); return },
		func() (err error) {
			if f.memory == "" {
				return nil
			}
			if r.Memory, err = core.ParseBytes(f.memory); err != nil {
				err = fmt.Errorf("--memory: %w", err)
			}
			return err
		},
		func() (err error) { r.Disks, err = core.ParseDisks(f.disk); return },
		func() (err error) { r.NICs, err = core.ParseNICs(f.nic); return },
		func() (err error) { r.GPUs, r.GPUModel, err = core.ParseGPUs(f.gpus); return },
		func() (err error) { r.Place, err = core.ParsePlacement(f.place); return },
		func() (err error) { o.Wait, err = core.ParseDuration("--wait", f.wait); return },
		func() (err error) {
			o.AcquireTimeout, err = core.ParseDuration("--acquire-timeout", f.acquireTimeout)
			return
		},
		func() (err error) { o.TTL, err = core.ParseDuration("--ttl", f.ttl); return },
		func() error { return f.system.read(a.in, &o) },
		func() (err error) { o.Keys, err = readKeys(f.system.keys); return },
	} {
		if err := read(); err != nil {
			return o, asUsage(err)
		}
	}
	return o, nil
}

func (a *app) create(ctx context.Context, e core.Operator, order core.Order, o outputFlag) error {
	began := time.Now()
	p := a.progress()
	m, err := e.Create(ctx, order, p.report)
	p.stop()
	if err != nil {
		if core.Is(err, core.Exists) {
			return err
		}
		return a.heldAfter(context.WithoutCancel(ctx), e, order, err, context.Cause(ctx))
	}
	if o.json() {
		return a.showMachine(ctx, e, m, o)
	}
	return a.sayReady(m, calledBy(order), time.Since(began))
}

// calledBy is the word that means an order's machine to the commands of whoever gave it.
func calledBy(order core.Order) string {
	if order.Owner == core.DefaultOwner() {
		return order.Name
	}
	return order.Owner + "/" + order.Name
}

func (a *app) sayReady(m core.Machine, called string, after time.Duration) error {
	if err := a.machineTable([]core.Machine{m}, nil); err != nil {
		return err
	}
	a.note("%s is ready after %s; log in: metalpool machine ssh %s", m.Name, took(after), called)
	return nil
}

// adviseOf puts advice into the words of a command that goes on with a deploy, or begins it
// anew; and reports whether there was any.
func adviseOf(why error, failed, unfinished string) (error, bool) {
	e, ok := why.(*core.Error) //nolint:errorlint // what wraps an Error has a text of its own
	if !ok {
		return why, false
	}
	told := *e
	told.Hint = strings.NewReplacer(core.AdviceFailed, failed, core.AdviceUnfinished, unfinished).Replace(told.Hint)
	return &told, told.Hint != e.Hint
}

// heldAfter tells of a node that a failed create still holds, if it does: nothing else
// would, for it has no record but the pool's. It returns why the create failed, with what
// to do next in this command's words, or only why it was interrupted, where all is said.
func (a *app) heldAfter(ctx context.Context, e core.Operator, order core.Order, why, interrupted error) error {
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	m, err := e.MachineNamed(ctx, order.Owner, order.Name)
	if err != nil || m.Node == "" {
		return why
	}
	holds := fmt.Sprintf("%s holds %s (%s, %s)", m.Name, m.Node, m.State, m.ID)
	again := "the same command " + either(m.State == core.Failed, "deploys it anew", "goes on with it") + ", 'metalpool machine release " + calledBy(order) + "' gives it back"
	if told, advised := adviseOf(why, again, again); advised && interrupted == nil {
		a.note("%s", holds)
		return told
	}
	a.note("%s; %s", holds, again)
	if interrupted != nil && errors.Is(why, interrupted) {
		return interrupted
	}
	return why
}
