package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/bmc"
)

func labCommand(a *app) *cobra.Command {
	var dir labDir
	cmd := noun("lab", "A virtual rack: real Redfish and SSH, no hardware",
		labUpCommand(a, &dir), labStatusCommand(a, &dir), labFaultCommand(a, &dir), labPlugCommand(a, &dir), labUnplugCommand(a, &dir), labImageCommand(a))
	cmd.PersistentFlags().StringVar(&dir.flag, "dir", "", "the lab's `folder` (METALPOOL_LAB; default: beside the default pool)")
	return cmd
}

// labDir is where a lab keeps its disks and identities.
type labDir struct{ flag string }

// path is absolute: it is printed for use in other folders.
func (d *labDir) path() (string, error) {
	dir := d.flag
	if dir == "" {
		dir = os.Getenv("METALPOOL_LAB")
	}
	if dir != "" {
		return filepath.Abs(dir)
	}
	return usualLab()
}

// usualLab is where a lab is that nobody named a folder for.
func usualLab() (string, error) {
	base := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(base) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", usagef("where is the lab? give --dir, since there is no home: %w", err)
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "metalpool", "lab"), nil
}

// connect finds the lab that runs.
func (d *labDir) connect() (*lab.Client, error) {
	dir, err := d.path()
	if err != nil {
		return nil, err
	}
	return lab.Connect(dir)
}

// upFlags are what `lab up` is told.
type upFlags struct {
	config  lab.Config
	vendors []string
	vms     vmFlags
	output  outputFlag
}

func labUpCommand(a *app, dir *labDir) *cobra.Command {
	var flags upFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a rack until Ctrl-C",
		Long: `Up runs a rack of simulated servers on loopback. Each has a BMC that speaks Redfish
over HTTPS with the manners of a real vendor, boots the media that it is given, and
serves SSH from what was written to its disk. Disks and identities are kept in the
lab's folder: up again is the same rack.

With --vm the servers are virtual machines: QEMU with UEFI firmware, which boot the
real ramdisk and whatever system lies on their disks.

When it is ready, up writes the list of its servers and prints what to type next.`,
		Example: `  metalpool lab up --nodes 6
  metalpool lab up --nodes 100 --vendors idrac9,ilo5 --dir /tmp/lab
  metalpool lab up --vm --nodes 2 --dir /tmp/vms
  metalpool lab up --vm --nodes 1 --disk nvme:8GiB --disk sata:16GiB --memory 1GiB`,
		Args: exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			var err error
			if flags.config.Dir, err = dir.path(); err != nil {
				return err
			}
			if flags.config.VM, err = flags.vms.config(); err != nil {
				return err
			}
			flags.config.Vendors = flags.vendors
			return a.labUp(ctx, flags)
		}),
	}
	f := cmd.Flags()
	f.IntVar(&flags.config.Nodes, "nodes", 0, "how `many` servers (default: as many as there are, or 6; with --vm 2)")
	f.StringVar(&flags.config.Net, "net", "", "`block` of loopback addresses, such as 127.77.0.0/16; a rack that is elsewhere moves there (default: the rack's, or a free one)")
	f.StringSliceVar(&flags.vendors, "vendors", nil, "`names` whose manners the BMCs take in turn (default: "+strings.Join(lab.DefaultVendors, ",")+")")
	f.IntVar(&flags.config.BMCPort, "bmc-port", 0, "`port` of every BMC (default 8443)")
	f.IntVar(&flags.config.ConsolePort, "console-port", 0, "`port` of the BMCs' SSH, which shows the serial console (default 2200)")
	f.IntVar(&flags.config.SSHPort, "ssh-port", 0, "`port` of every machine's SSH (default 2222)")
	f.IntVar(&flags.config.DockerPort, "docker-port", 0, "`port` of every machine's Docker Engine (default 2376)")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if f.Changed("nodes") && flags.config.Nodes < 1 { // 0 is how the library is asked for the default
			return usagef("--nodes %d is no rack; give 1 or more, or leave it out", flags.config.Nodes)
		}
		return nil
	}
	flags.vms.add(cmd)
	flags.output.add(cmd)
	complete(cmd, "vendors", vendorNames()...)
	return cmd
}

func vendorNames() []string {
	return names(bmc.All(), func(m *bmc.Manners) string { return m.Name })
}

// upView tells programs that a lab is ready, and where.
type upView struct {
	Dir   string        `json:"dir"`
	Rack  string        `json:"rack"` // for `node enroll --from`
	Nodes []core.NodeID `json:"nodes"`
}

// Racks that fit a terminal and a laptop.
const (
	defaultNodes = 6
	defaultVMs   = 2
)

func (a *app) labUp(ctx context.Context, flags upFlags) (err error) {
	if _, err := os.Stat(filepath.Join(flags.config.Dir, "lab.json")); flags.config.Nodes == 0 && errors.Is(err, os.ErrNotExist) {
		flags.config.Nodes = defaultNodes
		if flags.config.VM != nil {
			flags.config.Nodes = defaultVMs
		}
	}
	rack, err := lab.Up(ctx, flags.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rack.Close()) }()
	file := filepath.Join(flags.config.Dir, "rack.yaml")
	if err := rack.Rack().Write(file); err != nil {
		return err
	}
	if from := rack.MovedFrom(); from != "" {
		a.note("%s", movedText(from, rack))
	}
	view := upView{Dir: flags.config.Dir, Rack: file}
	for _, n := range rack.Nodes() {
		view.Nodes = append(view.Nodes, n.ID())
	}
	if flags.output.json() {
		err = a.printLine(view)
	} else {
		_, err = fmt.Fprint(a.out, upText(view, rack))
	}
	if err != nil {
		return err
	}
	<-ctx.Done() // Ctrl-C is how to end it
	a.note("the rack is off; its disks and identities stay in %s", view.Dir)
	return nil
}

func labStatusCommand(a *app, dir *labDir) *cobra.Command {
	var o outputFlag
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "What the rack's servers are doing",
		Example: "  metalpool lab status",
		Args:    exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			client, err := dir.connect()
			if err != nil {
				return err
			}
			nodes, err := client.Status(ctx)
			if err != nil {
				return err
			}
			if o.json() {
				return a.printJSON(list(nodes))
			}
			t := a.table("NODE", "BMC", "VENDOR", "POWER", "DOING", "MEDIA", "REQUESTS", "FAULTS").sparing("REQUESTS", "MEDIA", "VENDOR")
			for _, n := range nodes {
				t.row(string(n.ID), n.BMC, n.Vendor, string(n.Power), n.Phase+either(n.NoCable, ", network unplugged", ""), strings.Join(n.Media, ","), number(n.Traffic.Requests), number(len(n.Faults.BMC)+len(n.Faults.Machine)))
			}
			return t.print(a.out)
		}),
	}
	o.add(cmd)
	return cmd
}

func labPlugCommand(a *app, dir *labDir) *cobra.Command {
	return labVerb(a, dir, "plug", "Put servers' cords back", (*lab.Client).Plug, (*lab.Client).PlugNetwork)
}

func labUnplugCommand(a *app, dir *labDir) *cobra.Command {
	return labVerb(a, dir, "unplug", "Pull servers' power cords: machine and BMC are gone at once", (*lab.Client).Unplug, (*lab.Client).UnplugNetwork)
}

// onCord pulls or plugs a cord of one server.
type onCord func(*lab.Client, context.Context, core.NodeID) error

// labVerb does one thing to several servers of the rack.
func labVerb(a *app, dir *labDir, verb, short string, power, network onCord) *cobra.Command {
	var cable bool
	cmd := &cobra.Command{
		Use:               verb + " NODE...",
		Short:             short,
		Example:           "  metalpool lab " + verb + " n001\n  metalpool lab " + verb + " --network n001",
		Args:              some("NODE"),
		ValidArgsFunction: dir.completeNodes,
		RunE: a.run(func(ctx context.Context, ids []string) error {
			client, err := dir.connect()
			if err != nil {
				return err
			}
			do := power
			if cable {
				do = network
			}
			return each(ctx, a.fail, 1, verb+"ged", ids, func(ctx context.Context, id string) error {
				if err := do(client, ctx, core.NodeID(id)); err != nil {
					return err
				}
				a.note("%s is %sged%s", id, verb, either(cable, " (network)", ""))
				return nil
			})
		}),
	}
	cmd.Flags().BoolVar(&cable, "network", false, "only the cable of the first network port, of a virtual machine; its BMC stays")
	return cmd
}

// completeNodes completes every argument with the rack's servers.
func (d *labDir) completeNodes(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	client, err := d.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	nodes, err := client.Status(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return names(nodes, func(n lab.Status) string { return string(n.ID) + "\t" + n.Phase }), cobra.ShellCompDirectiveNoFileComp
}
