package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/metalpool/metalpool/core"
)

// bootValue is --boot: how a ramdisk hands over to an OS.
type bootValue struct{ mode *core.BootMode }

var _ pflag.Value = bootValue{}

func bootFlag(cmd *cobra.Command, mode *core.BootMode, usage string) {
	cmd.Flags().Var(bootValue{mode}, "boot", usage)
	complete(cmd, "boot", string(core.Kexec), string(core.Reboot))
}

// Set implements pflag.Value.
func (b bootValue) Set(text string) error {
	mode := core.BootMode(strings.ToLower(text))
	if mode.Validate() != nil {
		return fmt.Errorf("%q is neither %s nor %s", text, core.Kexec, core.Reboot)
	}
	*b.mode = mode
	return nil
}

func (b bootValue) String() string {
	if b.mode == nil {
		return ""
	}
	return string(*b.mode)
}

// Type implements pflag.Value.
func (b bootValue) Type() string { return "mode" }

// describeNetwork tells the network that a node was declared to have.
func describeNetwork(s *sheet, n *core.Network) {
	if n == nil {
		return
	}
	s.line("Network", words(strings.Join(n.Ports, ", "), bondText(*n), either(n.VLAN != 0, fmt.Sprintf("VLAN %d", n.VLAN), ""), either(n.MTU != 0, fmt.Sprintf("MTU %d", n.MTU), "")))
	if !n.Address.IsValid() {
		s.line("Network", "address by DHCP")
		return
	}
	s.line("Network", words(n.Address.String(), either(n.Gateway.IsValid(), "by "+n.Gateway.String(), "")))
	for _, server := range n.DNS {
		s.line("Network", "DNS "+server.String())
	}
}

func bondText(n core.Network) string {
	if len(n.Ports) < 2 {
		return ""
	}
	return "bonded as " + either(n.Bond == "", "active-backup", n.Bond)
}
