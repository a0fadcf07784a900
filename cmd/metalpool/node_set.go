package main

import (
	"context"
	"reflect"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
	"github.com/metalpool/metalpool/core/rackfile"
)

// setFlags are what `node set` may change.
type setFlags struct {
	labels              []string
	pool, bmc, user     string
	newPassword         bool
	password            passwordFlag
	fingerprint, caFile string
	insecure            bool
	consoleKey          string
	address, advertise  string
	sshPort, dockerPort int
	network             string
	boot                core.BootMode
	takeOver            bool
}

func nodeSetCommand(a *app) *cobra.Command {
	var flags setFlags
	cmd := &cobra.Command{
		Use:   "set NODE",
		Short: "Change what was declared about a node",
		Long: `Set changes what the operator declared about a node: labels, pool, how its BMC and
its machine are reached. The server is not touched: another network counts for its
next ramdisk, and for the OS that is deployed next.

A BMC whose certificate changed is refused until its new fingerprint is set. A node
on which an OS that was started by kexec showed no life is started through its
firmware from then on; --boot kexec has it tried again. An empty value takes a
setting back. What a rack file or Terraform declares is changed there, or with
--take-over.`,
		Example: `  metalpool node set r1-n7 --label rack=r1 --label gpu-
  metalpool node set r1-n7 --fingerprint 3b5f…
  metalpool node set r1-n7 --user operator --password
  metalpool node set r1-n7 --password-from 'exec:pass show bmc/r1-n7'
  metalpool node set r1-n7 --boot reboot
  metalpool node set r1-n7 --network r1-n7-net.yaml`,
		Args:              exactly("NODE"),
		ValidArgsFunction: a.completeArgs(nodeIDs),
	}
	f := cmd.Flags()
	f.StringArrayVar(&flags.labels, "label", nil, "`name=value`, or name- to remove it; may be repeated")
	f.StringVar(&flags.pool, "pool", "", "move it to this `pool`")
	f.StringVar(&flags.bmc, "bmc", "", "`address` of the BMC: https://host[:port]")
	f.StringVar(&flags.user, "user", "", "BMC's `user`")
	f.BoolVar(&flags.newPassword, "password", false, "change the BMC's password, which is asked for or read as --password-file says")
	flags.password.add(cmd)
	f.StringVar(&flags.fingerprint, "fingerprint", "", "the BMC's certificate must have this SHA-256 (`hex`)")
	f.StringVar(&flags.caFile, "ca", "", "check the BMC's certificate by the CAs in this `file` (PEM)")
	f.BoolVar(&flags.insecure, "insecure", false, "do not check the BMC's certificate")
	f.StringVar(&flags.consoleKey, "console-key", "", "the BMC's SSH must show the host key of this `fingerprint`: SHA256:…; empty records the next one seen")
	f.StringVar(&flags.address, "address", "", "`address` that the machine has")
	f.IntVar(&flags.sshPort, "ssh-port", 0, "`port` of the machine's SSH")
	f.IntVar(&flags.dockerPort, "docker-port", 0, "`port` of the machine's Docker Engine")
	f.StringVar(&flags.network, "network", "", "`file` (YAML) with what ramdisk and OS configure: ports, bond, VLAN, address, as below network in a rack file; - is standard input; empty: DHCP on every port")
	f.StringVar(&flags.advertise, "advertise", "", "`address` at which this server reaches us")
	takeOverFlag(cmd, &flags.takeOver, "change")
	bootFlag(cmd, &flags.boot, "how its ramdisk hands over to an OS: kexec, or reboot through its firmware (`mode`; empty: as the image says)")
	completeWith(cmd, "pool", a, poolNames)
	cmd.RunE = a.run(func(ctx context.Context, args []string) error {
		change, err := flags.change(ctx, a, cmd, args[0])
		if err != nil {
			return err
		}
		return a.with(ctx, open.Options{}, func(ctx context.Context, e core.Operator) error {
			if flags.takeOver {
				n, err := e.Node(ctx, core.NodeID(args[0]))
				if err == nil {
					err = takeOver(ctx, e, core.Declaration{Nodes: []core.NodeDeclaration{{ID: n.ID, URL: n.Spec.BMC.URL}}})
				}
				if err != nil {
					return err
				}
			}
			change.By = core.DeclaredOnCommandLine
			if _, err := e.SetNode(ctx, core.NodeID(args[0]), change); err != nil {
				return err
			}
			a.note("%s has changed: %s", args[0], strings.Join(changedFlags(f), ", "))
			return nil
		})
	})
	return cmd
}

// changedFlags names the flags on the command line, but for those of every command.
func changedFlags(f *pflag.FlagSet) []string {
	var changed []string
	f.Visit(func(flag *pflag.Flag) {
		if flag.Name != "metalpool-url" {
			changed = append(changed, flag.Name)
		}
	})
	return changed
}

// change is what was on the command line, and nothing else.
func (s *setFlags) change(ctx context.Context, a *app, cmd *cobra.Command, node string) (core.NodeChange, error) {
	c := core.NodeChange{
		Pool: given(cmd, "pool", s.pool), URL: given(cmd, "bmc", s.bmc), User: given(cmd, "user", s.user),
		Fingerprint: given(cmd, "fingerprint", s.fingerprint), Insecure: given(cmd, "insecure", s.insecure),
		ConsoleKey: given(cmd, "console-key", s.consoleKey),
		Address:    given(cmd, "address", s.address), Advertise: given(cmd, "advertise", s.advertise),
		SSHPort: given(cmd, "ssh-port", s.sshPort), DockerPort: given(cmd, "docker-port", s.dockerPort),
		Boot: given(cmd, "boot", s.boot),
	}
	var err error
	if c.Labels, err = parseLabelChanges(s.labels); err != nil {
		return c, err
	}
	if c.URL != nil {
		if err := checkBMC(s.bmc); err != nil {
			return c, err
		}
	}
	if c.Network, err = s.readNetwork(a, cmd); err != nil {
		return c, err
	}
	pem, err := readCA(s.caFile)
	if err != nil {
		return c, err
	}
	c.CA = given(cmd, "ca", pem)
	if err := oneCheck(s.caFile, s.fingerprint, s.insecure); err != nil {
		return c, err
	}
	s.onlyCheck(&c)
	if s.newPassword || s.password.file+s.password.from != "" {
		secret, err := s.password.read(ctx, a, "New password of "+node+"'s BMC")
		if err != nil {
			return c, err
		}
		c.Password = &secret
	}
	if reflect.DeepEqual(c, core.NodeChange{}) {
		return c, usagef("nothing to change; say what with a flag, such as --label rack=r1")
	}
	return c, nil
}

// readNetwork is the network of --network; one without ports takes the setting back.
func (s *setFlags) readNetwork(a *app, cmd *cobra.Command) (*core.Network, error) {
	switch {
	case !cmd.Flags().Changed("network"):
		return nil, nil //nolint:nilnil // nothing is to change
	case s.network == "":
		return &core.Network{}, nil
	case s.network == "-" && s.password.file == "-":
		return nil, usagef("--network and --password-file cannot both be read from standard input")
	}
	source, err := openInput(a.in, s.network)
	if err != nil {
		return nil, usagef("--network: %w", err)
	}
	defer source.Close()
	n, err := rackfile.ParseNetwork(source)
	if err != nil {
		return nil, usagef("--network %s: %w", s.network, err)
	}
	return &n, nil
}

// onlyCheck takes the other ways to check the BMC's certificate back where one is
// set: a recorded fingerprint would go before them.
func (s *setFlags) onlyCheck(c *core.NodeChange) {
	var none string
	var no bool
	switch {
	case s.fingerprint != "":
		c.CA, c.Insecure = &none, &no
	case s.caFile != "":
		c.Fingerprint, c.Insecure = &none, &no
	case s.insecure:
		c.Fingerprint, c.CA = &none, &none
	}
}

// given is the value of a flag that was on the command line, or nil.
func given[T any](cmd *cobra.Command, flag string, value T) *T {
	if !cmd.Flags().Changed(flag) {
		return nil
	}
	return &value
}

// parseLabelChanges reads name=value, and name- for what goes.
func parseLabelChanges(texts []string) (map[string]*string, error) {
	var changes map[string]*string
	for _, text := range texts {
		if changes == nil {
			changes = map[string]*string{}
		}
		name, value, ok := strings.Cut(text, "=")
		switch gone, isGone := strings.CutSuffix(text, "-"); {
		case ok && name != "" && value != "":
			changes[name] = &value
		case !ok && isGone && gone != "":
			changes[gone] = nil
		default:
			return nil, usagef("--label %q is neither name=value nor name-", text)
		}
	}
	return changes, nil
}
