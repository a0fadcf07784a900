package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/open"
)

// maxUserData is more than any machine is given; a file beyond it is the wrong file.
const maxUserData = 16 << 20

// createFlags are the texts of an order, with the names and the meaning that the
// flags of the docker-machine driver have.
type createFlags struct {
	owner                               ownerFlag
	id, pool, node, image, sshUser      string
	profile                             string
	hostname, labels, arch, memory      string
	disk, nic, gpus, place              string
	wait, acquireTimeout, deployTimeout string
	ttl                                 string
	initFile, postDeploy                string
	keys                                []string
	cpus, sshPort                       int
	output                              outputFlag
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
	f.StringVar(&flags.id, "id", "", "the allocation's `ID`; the same again is the same request (default: a new one)")
	f.StringVar(&flags.pool, "pool", core.DefaultPool, "`pool` to take a server from")
	f.StringVar(&flags.node, "node", "", "take exactly this `node`")
	f.StringVar(&flags.image, "image", "", "OS `image` to put on it (default: the pool's)")
	f.StringVar(&flags.profile, "profile", "", "`choice` of the operator's steps, of those that the pool offers (default: the pool's)")
	f.StringArrayVar(&flags.keys, "key", nil, "`file` with public SSH keys that may log in; may be repeated (default: ~/.ssh/*.pub)")
	f.StringVar(&flags.initFile, "init-file", "", "`file` of cloud-init user data for the first boot; - is standard input")
	f.StringVar(&flags.postDeploy, "post-deploy", "", "`file` of a script of your own, run as root once all else is done; - is standard input")
	f.StringVar(&flags.hostname, "hostname", "", "its host `name` (default: NAME)")
	f.StringVar(&flags.sshUser, "ssh-user", "", "`user` to log in as (default: the image's)")
	f.IntVar(&flags.sshPort, "ssh-port", 0, "`port` of SSH (default: the node's)")
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
	f.StringVar(&flags.deployTimeout, "deploy-timeout", "2h", "how `long` the deploy may take, other nodes after a failed one included")
	f.StringVar(&flags.ttl, "ttl", "", "how `long` to keep it once it has a node: 8h; then it is released, whatever runs on it (default: until it is released)")
	flags.output.add(cmd)
	completeWith(cmd, "pool", a, poolNames)
	completeWith(cmd, "image", a, imageNames)
	completeWith(cmd, "node", a, nodeIDs)
	completeWith(cmd, "profile", a, profiles.names)
	complete(cmd, "arch", "amd64", "arm64")
	return cmd
}

// order reads the flags. What cannot be read is a usage error, before any node is
// looked at.
func (f *createFlags) order(a *app, name string) (core.Order, error) {
	o := core.Order{
		ID: core.AllocationID(f.id), Owner: f.owner.name(), Name: name, Image: f.image, Profile: f.profile, Hostname: f.hostname,
		SSHUser: f.sshUser, SSHPort: f.sshPort,
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
		func() (err error) {
			o.DeployTimeout, err = core.ParseDuration("--deploy-timeout", f.deployTimeout)
			return
		},
		func() (err error) { o.TTL, err = core.ParseDuration("--ttl", f.ttl); return },
		func() (err error) {
			if f.initFile == "-" && f.postDeploy == "-" {
				return errors.New("--init-file and --post-deploy cannot both be standard input; name a file for one of them")
			}
			o.UserData, err = readGiven(a.in, "--init-file", f.initFile)
			return
		},
		func() (err error) { o.PostDeploy, err = readGiven(a.in, "--post-deploy", f.postDeploy); return },
		func() (err error) { o.Keys, err = readKeys(f.keys); return },
	} {
		if err := read(); err != nil {
			return o, asUsage(err)
		}
	}
	return o, nil
}

// readGiven reads the file of a flag, which is a secret as far as we know.
func readGiven(stdin io.Reader, flag, file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	source := stdin
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		defer opened.Close()
		source = opened
	}
	data, err := io.ReadAll(io.LimitReader(source, maxUserData+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", flag, err)
	case len(data) > maxUserData:
		return nil, fmt.Errorf("%s %s: it is larger than %s, which no machine takes", flag, file, core.Bytes(maxUserData))
	case len(bytes.TrimSpace(data)) == 0:
		return nil, fmt.Errorf("%s %s: it is empty", flag, file)
	}
	return data, nil
}

// ownKeys are the files of the user's own public keys.
func ownKeys() ([]string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	return filepath.Glob(filepath.Join(home, ".ssh", "*.pub"))
}

// readKeys reads the public keys of --key, by default the user's own.
func readKeys(files []string) ([]string, error) {
	if len(files) == 0 {
		var err error
		if files, err = ownKeys(); err != nil || len(files) == 0 {
			return nil, errors.New("which SSH key may log in? there is none in ~/.ssh; make one with 'ssh-keygen -t ed25519', or give --key FILE.pub")
		}
	}
	var keys []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--key: %w", err)
		}
		if bytes.Contains(data, []byte("PRIVATE KEY")) {
			return nil, fmt.Errorf("--key %s: this is a private key, which stays with you; give its public half, %s.pub", file, file)
		}
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSpace(line)
			if line != "" && !strings.HasPrefix(line, "#") {
				keys = append(keys, line)
			}
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("--key: there is no key in %s", strings.Join(files, ", "))
	}
	return keys, nil
}

func (a *app) create(ctx context.Context, e core.Operator, order core.Order, o outputFlag) error {
	began := time.Now()
	p := a.progress()
	m, err := e.Create(ctx, order, p.report)
	p.stop()
	if err != nil {
		held := !core.Is(err, core.Exists) && a.sayHeld(context.WithoutCancel(ctx), e, order)
		if cause := context.Cause(ctx); held && cause != nil && errors.Is(err, cause) {
			return cause // what is to be known of it was just said
		}
		return err
	}
	if o.json() {
		return a.showMachine(ctx, e, m, o)
	}
	if err := a.machineTable([]core.Machine{m}, nil); err != nil {
		return err
	}
	a.note("%s is ready after %s; log in: metalpool machine ssh %s", m.Name, took(time.Since(began)), m.Name)
	return nil
}

// sayHeld tells of a node that a failed create still holds, if it does. Nothing else
// would: it has no record but the pool's.
func (a *app) sayHeld(ctx context.Context, e core.Operator, order core.Order) bool {
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	m, err := e.MachineNamed(ctx, order.Owner, order.Name)
	if err != nil || m.Node == "" {
		return false
	}
	a.note("%s holds %s (%s, %s). The same command goes on with it; to give it up: metalpool machine release %s", m.Name, m.Node, m.State, m.ID, m.Name)
	return true
}
