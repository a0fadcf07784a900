package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

func machineSSHCommand(a *app) *cobra.Command {
	var (
		owner    ownerFlag
		identity string
	)
	cmd := &cobra.Command{
		Use:   "ssh MACHINE [-- COMMAND...]",
		Short: "Log in to a machine, or run a command on it",
		Long: `Ssh runs the system's ssh. It accepts exactly the host keys that were made for this
machine, which the deploy verified, and leaves ~/.ssh/known_hosts alone. Its exit
status is ssh's. ` + machineWords,
		Example: "  metalpool machine ssh web-1\n  metalpool machine ssh web-1 -- uname -a",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || cmd.ArgsLenAtDash() == 0 {
				return errors.New("which machine? give its name before --")
			}
			return nil
		},
		ValidArgsFunction: a.completeArgs(machineNames),
	}
	owner.add(cmd, "whose machine a name means")
	cmd.Flags().StringVarP(&identity, "identity", "i", "", "private key `file` to log in with (default: ssh's)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var m core.Machine
		find := a.reads(func(ctx context.Context, e core.Operator, args []string) (err error) {
			m, err = owner.machine(ctx, e, args[0])
			return err
		})
		// The pool is closed before ssh starts: a login may last for days.
		if err := find(cmd, args[:1]); err != nil {
			return err
		}
		return a.ssh(cmd.Context(), m, identity, args[1:])
	}
	return cmd
}

func (a *app) ssh(ctx context.Context, m core.Machine, identity string, command []string) error {
	if m.State != core.Deployed {
		return &core.Error{Op: "ssh", Allocation: m.Name, Kind: core.Busy, Err: fmt.Errorf("the machine is %s", m.State), Hint: "it takes logins once it is Deployed; see 'metalpool machine show " + m.Name + "'"}
	}
	program, err := exec.LookPath("ssh")
	if err != nil {
		return &core.Error{Op: "ssh", Allocation: m.Name, Kind: core.Invalid, Err: err, Hint: fmt.Sprintf("install OpenSSH's client; the machine is %s at %s", m.Access.SSHUser, address(m.Access))}
	}
	dir, err := os.MkdirTemp("", "metalpool-ssh-")
	if err != nil {
		return fmt.Errorf("ssh %s: %w", m.Name, err)
	}
	defer os.RemoveAll(dir)
	hosts := filepath.Join(dir, "known_hosts")
	if err := os.WriteFile(hosts, []byte(knownHosts(m)), 0o600); err != nil {
		return fmt.Errorf("ssh %s: %w", m.Name, err)
	}
	// Not bound to ctx: Ctrl-C is for the program on the other side.
	run := exec.CommandContext(context.WithoutCancel(ctx), program, sshArgs(m, hosts, identity, command)...)
	run.Stdin, run.Stdout, run.Stderr = a.in, a.out, a.err
	err = run.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		// A signal has no status of its own; a shell would say 128 and more.
		return remoteError(max(exit.ExitCode(), exitFailed))
	}
	return err
}

// knownHosts is the known_hosts file with the machine's keys and nothing else.
func knownHosts(m core.Machine) string {
	var b strings.Builder
	for _, key := range m.Access.HostKeys {
		fmt.Fprintf(&b, "%s %s\n", hostAlias(m), strings.TrimSpace(key))
	}
	return b.String()
}

// hostAlias is what ssh looks a host key up by: the allocation, since addresses are
// used again.
func hostAlias(m core.Machine) string { return "metalpool-" + string(m.ID) }

func sshArgs(m core.Machine, knownHosts, identity string, command []string) []string {
	args := []string{
		"-o", "UserKnownHostsFile=" + knownHosts,
		"-o", "GlobalKnownHostsFile=/dev/null",
		"-o", "HostKeyAlias=" + hostAlias(m),
		"-o", "StrictHostKeyChecking=yes",
		"-o", "UpdateHostKeys=no",
		"-o", "CheckHostIP=no",
	}
	if m.Access.SSHPort != 0 {
		args = append(args, "-p", strconv.Itoa(m.Access.SSHPort))
	}
	if m.Access.SSHUser != "" {
		args = append(args, "-l", m.Access.SSHUser)
	}
	if identity != "" {
		args = append(args, "-i", identity, "-o", "IdentitiesOnly=yes")
	}
	host := m.Access.Address
	if ip := net.ParseIP(host); ip != nil {
		host = ip.String()
	}
	return append(append(args, "--", host), command...)
}
