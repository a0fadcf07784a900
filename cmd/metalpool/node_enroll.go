package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
)

// enrollParallel is how many BMCs are asked at once by default.
const enrollParallel = 16

// enrollFlags are what `node enroll` is told.
type enrollFlags struct {
	bmcs     []string
	from     string
	user     string
	password passwordFlag
	pool     string
	labels   []string
	node     core.Enrollment // the flags that are its fields
	caFile   string
	parallel int
	wait     waitFlag
	output   outputFlag
}

func nodeEnrollCommand(a *app) *cobra.Command {
	var flags enrollFlags
	cmd := &cobra.Command{
		Use:   "enroll [NODE] {--bmc URL | --from FILE}",
		Short: "Add servers to a pool",
		Long: `Enroll reads what a server is made of from its BMC and adds it to the pool. It
does not touch the server. A node that was enrolled is Quarantined, and says which
disks an erase would destroy; --erase says yes to that at once.

Without NODE a node is named after its serial number. A range in the address
enrolls many at once; NODE may then hold a range of as many numbers.

A file lists servers that differ in more than their number; what it leaves out of a
server, the flags say.

The BMC's certificate is checked by --ca, by --fingerprint, or by the fingerprint
that it shows now, which is recorded.`,
		Example: `  metalpool node enroll r1-n7 --bmc https://10.0.0.7 --user root --label rack=r1
  metalpool node enroll 'r1-n[01-40]' --bmc 'https://10.0.0.[1-40]' --user root --password-file bmc.txt
  metalpool node enroll --from rack.yaml --erase`,
		Args: optional("NODE"),
		RunE: a.run(func(ctx context.Context, args []string) error {
			servers, err := flags.servers(ctx, a, args)
			if err != nil {
				return err
			}
			return a.with(ctx, create, func(ctx context.Context, e core.Operator) error {
				return a.enroll(ctx, e, servers, flags)
			})
		}),
	}
	f := cmd.Flags()
	f.StringArrayVar(&flags.bmcs, "bmc", nil, "`address` of a BMC: https://host[:port]; with a range: 'https://10.0.0.[1-40]'")
	f.StringVar(&flags.from, "from", "", "`file` that lists a rack's servers (YAML), - is standard input; with NODE: only that one")
	f.StringVar(&flags.user, "user", "root", "BMC's `user`")
	flags.password.add(cmd)
	f.StringVar(&flags.pool, "pool", "", "put them into this `pool` (default \""+core.DefaultPool+"\")")
	f.StringArrayVar(&flags.labels, "label", nil, "`name=value`; may be repeated")
	f.StringVar(&flags.caFile, "ca", "", "check the BMC's certificate by the CAs in this `file` (PEM)")
	f.StringVar(&flags.node.Fingerprint, "fingerprint", "", "the BMC's certificate must have this SHA-256 (`hex`)")
	f.StringVar(&flags.node.ConsoleKey, "console-key", "", "the BMC's SSH must show the host key of this `fingerprint`: SHA256:… (default: the one that it shows now)")
	f.BoolVar(&flags.node.Insecure, "insecure", false, "do not check the BMC's certificate")
	f.StringVar(&flags.node.Address, "address", "", "`address` that the machine will have (default: that of the NIC which boots)")
	f.IntVar(&flags.node.SSHPort, "ssh-port", 0, "`port` of the machine's SSH (default 22)")
	f.IntVar(&flags.node.DockerPort, "docker-port", 0, "`port` of the machine's Docker Engine (default 2376)")
	f.StringVar(&flags.node.Advertise, "advertise", "", "`address` at which this server reaches us, where the route does not tell")
	bootFlag(cmd, &flags.node.Boot, "how its ramdisk hands over to an OS: kexec, or reboot through its firmware (`mode`; default: as the image says)")
	f.BoolVar(&flags.node.Erase, "erase", false, "put them to use: erase all their disks now")
	f.BoolVar(&flags.node.TakeOver, "take-over", false, "even if the asset tag names another pool")
	f.IntVar(&flags.parallel, "parallel", enrollParallel, "ask so many `BMCs` at once")
	flags.wait.add(cmd)
	flags.output.add(cmd)
	completeWith(cmd, "pool", a, poolNames)
	return cmd
}

// servers turns the flags into what to enroll, password included.
func (f *enrollFlags) servers(ctx context.Context, a *app, args []string) ([]core.Enrollment, error) {
	labels, err := parseLabels(f.labels)
	if err != nil {
		return nil, err
	}
	switch {
	case f.parallel < 1:
		return nil, usagef("--parallel %d asks nobody", f.parallel)
	case f.from != "" && len(f.bmcs) > 0:
		return nil, usagef("give --bmc or --from, not both")
	}
	if err := oneCheck(f.caFile, f.node.Fingerprint, f.node.Insecure); err != nil {
		return nil, err
	}
	if f.from != "" {
		return f.fromFile(ctx, a, args, labels)
	}
	if len(f.bmcs) == 0 {
		return nil, usagef("which server? give --bmc https://host, or --from FILE")
	}
	one := f.node
	one.User, one.Pool, one.Labels, one.By = f.user, f.pool, labels, core.DeclaredOnCommandLine
	if one.CA, err = readCA(f.caFile); err != nil {
		return nil, err
	}
	urls, err := expandAll(f.bmcs)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(urls))
	if len(args) == 1 {
		if ids, err = expandRanges(args[0]); err != nil {
			return nil, asUsage(err)
		}
		if len(ids) != len(urls) {
			return nil, usagef("%q names %s, and there are %s; give the names a range of as many numbers, or leave them out", args[0], plural(len(ids), "node"), plural(len(urls), "BMC"))
		}
	}
	if len(urls) > 1 && (one.Address != "" || one.Fingerprint != "" || one.ConsoleKey != "") {
		return nil, usagef("--address, --fingerprint and --console-key are those of one server, and there are %d", len(urls))
	}
	for _, u := range urls {
		if err := checkBMC(u); err != nil {
			return nil, err
		}
	}
	if one.Password, err = f.password.read(ctx, a, "Password of "+one.User+" at "+f.bmcs[0]); err != nil {
		return nil, err
	}
	servers := make([]core.Enrollment, len(urls))
	for i, u := range urls {
		servers[i] = one
		servers[i].URL, servers[i].ID = u, core.NodeID(ids[i])
	}
	return servers, nil
}

func expandAll(texts []string) ([]string, error) {
	var all []string
	for _, text := range texts {
		some, err := expandRanges(text)
		if err != nil {
			return nil, asUsage(err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// checkBMC refuses an address that cannot be one, before a password is asked for.
func checkBMC(address string) error {
	scheme, host, _ := strings.Cut(address, "://")
	switch {
	case (scheme != "https" && scheme != "http") || host == "":
		return usagef("--bmc %q is not the address of a BMC; write https://host[:port]", address)
	case strings.Contains(host, "@"):
		return usagef("--bmc holds a user or a password, which shows in `ps`; give --user and --password-file")
	}
	return nil
}

// parseLabels reads name=value.
func parseLabels(texts []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" || value == "" {
			return nil, usagef("--label %q is not of the form name=value", text)
		}
		labels[name] = value
	}
	return labels, nil
}

// oneCheck refuses more than one way to check a certificate.
func oneCheck(caFile, fingerprint string, insecure bool) error {
	if insecure && caFile+fingerprint != "" || caFile != "" && fingerprint != "" {
		return usagef("give one of --ca, --fingerprint and --insecure")
	}
	return nil
}

func readCA(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return "", usagef("--ca: %w", err)
	}
	return string(pem), nil
}

// enroll adds the servers side by side. Each gets a line when it is done; in the
// end, what to type next.
func (a *app) enroll(ctx context.Context, e core.Operator, servers []core.Enrollment, flags enrollFlags) error {
	added, err := a.enrollEach(ctx, e, servers, flags.parallel, flags.output.json())
	if flags.wait.wait {
		err = errors.Join(err, a.awaitErases(ctx, e, added))
	}
	if flags.output.json() {
		views := make([]nodeView, len(added))
		for i, n := range added {
			views[i] = viewNode(n, holder{})
		}
		err = errors.Join(err, a.printJSON(views))
	}
	a.sayNext(added)
	return err
}

// enrollEach adds servers, and tells of each unless it is to be quiet.
func (a *app) enrollEach(ctx context.Context, e core.Operator, servers []core.Enrollment, parallel int, quiet bool) (added []core.Node, err error) {
	var mu sync.Mutex
	p := a.progress()
	err = each(ctx, p.fail, parallel, "enrolled", servers, func(ctx context.Context, s core.Enrollment) error {
		n, err := e.Enroll(ctx, s, p.report)
		if err != nil {
			return named(err, publicURL(s.URL))
		}
		mu.Lock()
		defer mu.Unlock()
		added = append(added, n)
		if quiet {
			return nil
		}
		return p.data(a.out, enrolledLine(n))
	})
	p.stop()
	slices.SortFunc(added, func(x, y core.Node) int { return strings.Compare(string(x.ID), string(y.ID)) })
	return added, err
}

// awaitErases waits for those that are being erased, and keeps how they ended.
func (a *app) awaitErases(ctx context.Context, e core.Operator, added []core.Node) error {
	var ids []core.NodeID
	for _, n := range added {
		if n.State.Working() {
			ids = append(ids, n.ID)
		}
	}
	err := a.awaitRest(ctx, e, ids)
	for i, n := range added {
		if !n.State.Working() {
			continue
		}
		if now, read := e.Node(ctx, n.ID); read == nil {
			added[i] = now
		}
	}
	return err
}

// named says whose error it is, where the error does not.
func named(err error, thing string) error {
	if strings.Contains(err.Error(), thing) {
		return err
	}
	return fmt.Errorf("%s: %w", thing, err)
}

// enrolledLine says what was found.
func enrolledLine(n core.Node) string {
	hw := n.Hardware
	found := slices.DeleteFunc([]string{words(hw.Manufacturer, hw.Model), either(hw.CPUs == 0, "", plural(hw.CPUs, "CPU")), sizeText(hw.Memory), diskSummary(hw.Disks)},
		func(s string) bool { return s == "" })
	return fmt.Sprintf("%s  %s  %s", n.ID, n.State, oneLine(strings.Join(found, ", ")))
}

// sayNext tells what to type once nodes are Quarantined for want of a word.
func (a *app) sayNext(added []core.Node) {
	var waiting []string
	for _, n := range added {
		if n.State == core.Quarantined {
			waiting = append(waiting, string(n.ID))
		}
	}
	if len(waiting) == 0 {
		return
	}
	a.note("To put %s to use, which erases all disks: metalpool node repair %s", either(len(waiting) == 1, "it", "them"), strings.Join(waiting, " "))
}
