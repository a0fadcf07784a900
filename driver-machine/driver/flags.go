package driver

import (
	"os"
	"strings"

	"github.com/docker/machine/libmachine/drivers"
	"github.com/docker/machine/libmachine/mcnflag"

	"github.com/metalpool/metalpool/core"
)

const (
	tokenVariable     = "METALPOOL_TOKEN"
	waitCleanVariable = "METALPOOL_WAIT_CLEAN"
)

// createFlags all have a variable in the environment. None is a list: those arrive
// empty from the environment. None has "userdata" or "cloud-config" in its name, by
// which Rancher would take it for the place to put its own script.
var createFlags = []mcnflag.Flag{
	stringFlag("url", "the pool: a path, or the https://host:port of a metalpool serve", ""),
	stringFlag("token", "token for a pool behind https://; never stored, so better in the environment", ""),
	stringFlag("owner", "who owns the machine (default: user@host; behind https:// the token tells)", ""),
	stringFlag("pool", "pool to take a server from", core.DefaultPool),
	stringFlag("node", "take exactly this server", ""),
	stringFlag("image", "OS image to put on it (default: the pool's)", ""),
	stringFlag("profile", "choice of the operator's steps, of those that the pool offers (default: the pool's)", ""),
	stringFlag("ssh-user", "user to log in as (default: the image's)", ""),
	intFlag("ssh-port", "port of SSH (default: the server's)"),
	stringFlag("labels", "labels that the server must have: rack=r1,tier!=test,gpu exists,zone in (a,b)", ""),
	stringFlag("arch", "architecture: amd64 or arm64", ""),
	intFlag("cpus", "logical CPUs, at least"),
	stringFlag("memory", "memory, at least: 64GiB", ""),
	stringFlag("disk", "disks, at least: 2x480GB,ssd+4x8TB,hdd", ""),
	stringFlag("nic", "network ports, at least: 2x25G+1G", ""),
	stringFlag("gpus", "GPUs, at least: 2, or 2xA100", ""),
	stringFlag("place", "next to your other machines: spread=rack, or together=zone", ""),
	stringFlag("init-file", "file of cloud-init user data for the first boot", ""),
	stringFlag("post-deploy", "file of a script of your own, run as root once all else is done", ""),
	stringFlag("wait", "how long to queue while all matching servers are taken: 30m", ""),
	mcnflag.BoolFlag{Name: "metalpool-wait-clean", EnvVar: waitCleanVariable, Usage: "let rm wait until the server is erased"},
	stringFlag("acquire-timeout", "how long a server may be held before its deploy begins", "5m"),
	stringFlag("deploy-timeout", "how long the deploy may take, other servers after a failed one included", "2h"),
	stringFlag("ttl", "how long to keep the machine, such as 8h: then it is released, whatever runs on it (default: until it is removed)", ""),
}

func stringFlag(name, usage, value string) mcnflag.Flag {
	return mcnflag.StringFlag{Name: "metalpool-" + name, EnvVar: variable(name), Usage: usage, Value: value}
}

func intFlag(name, usage string) mcnflag.Flag {
	return mcnflag.IntFlag{Name: "metalpool-" + name, EnvVar: variable(name), Usage: usage}
}

func variable(name string) string {
	return "METALPOOL_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// GetCreateFlags implements drivers.Driver.
func (d *Driver) GetCreateFlags() []mcnflag.Flag { return createFlags }

// SetConfigFromFlags implements drivers.Driver. It refuses what cannot be read and
// reaches for nothing.
func (d *Driver) SetConfigFromFlags(flags drivers.DriverOptions) error {
	value := func(name string) string { return strings.TrimSpace(flags.String("metalpool-" + name)) }
	address, err := d.pools.Locate(value("url"))
	if err != nil {
		return d.explain(err)
	}
	d.URL, d.Token = address, value("token")
	if d.Owner = value("owner"); d.Owner == "" {
		d.Owner = core.DefaultOwner()
	}
	d.Pool, d.Node, d.Image = value("pool"), value("node"), value("image")
	d.SSHUser, d.SSHPort = value("ssh-user"), flags.Int("metalpool-ssh-port")
	d.Labels, d.Arch, d.CPUs, d.Memory = value("labels"), value("arch"), flags.Int("metalpool-cpus"), value("memory")
	d.Disk, d.NIC, d.GPUs, d.Place = value("disk"), value("nic"), value("gpus"), value("place")
	d.Profile, d.InitFile, d.PostDeploy = value("profile"), value("init-file"), value("post-deploy")
	d.Wait, d.AcquireTimeout, d.DeployTimeout, d.TTL = value("wait"), value("acquire-timeout"), value("deploy-timeout"), value("ttl")
	d.WaitClean = flags.Bool("metalpool-wait-clean")
	d.SetSwarmConfigFromFlags(flags)

	d.AllocationID = core.AllocationID(core.NewID("dm"))
	d.key = nil
	_, err = d.order()
	return d.explain(err)
}

// tokenWillBeMissed reports whether the token was given in a way that later
// commands will not see.
func (d *Driver) tokenWillBeMissed() bool {
	return d.Token != "" && os.Getenv(tokenVariable) != d.Token
}
