// Package driver is metalpool's driver for docker-machine: each of libmachine's
// verbs, said to a pool.
//
// It holds no knowledge of servers. It turns flags into a core.Order, calls a
// core.Service, and turns what comes back into libmachine's states and texts. What
// it must care for itself is docker-machine's own life: config.json is written
// before Create and never after one that failed, the process may be killed at any
// line, and every exported field of a driver lands on the disk in plain text.
package driver

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/docker/machine/libmachine/drivers"
	"github.com/docker/machine/libmachine/engine"

	"github.com/metalpool/metalpool/core"
)

// Name is the driver's name: docker-machine create -d metalpool.
const Name = "metalpool"

// Pools is how a driver comes to a pool.
type Pools interface {
	// Locate returns the address that config.json may keep: it holds no secret, and
	// names the same pool from any folder, whatever the environment is by then.
	Locate(url string) (string, error)
	Open(ctx context.Context, url, token string) (core.Service, error)
}

// Driver is one machine. Its exported fields are config.json, so none of them may
// hold a secret; Rancher knows them by the flags' names in lowerCamelCase. SSHUser
// and SSHPort of BaseDriver are what was asked for until the machine is deployed,
// and then what it has.
type Driver struct {
	*drivers.BaseDriver

	// AllocationID is made with the flags, so that it is on the disk before Create:
	// after a create that failed or was killed it is all that Remove has to go by.
	AllocationID core.AllocationID

	URL    string
	Token  string `json:"-"` // read from the environment on each command
	Owner  string
	Pool   string
	Node   string
	Image  string
	Labels string
	Arch   string
	CPUs   int
	Memory string
	Disk   string
	NIC    string
	GPUs   string
	Place  string
	// Profile is the choice of the operator's steps; empty is the pool's.
	Profile string
	// InitFile is where the user data is read from when the machine is created.
	InitFile string
	// PostDeploy is where the user's own script is read from, then.
	PostDeploy     string
	Wait           string
	WaitClean      bool
	AcquireTimeout string
	DeployTimeout  string
	TTL            string

	// DockerPort is where the machine's engine is reached; 0 is the usual port.
	DockerPort int

	pools Pools
	now   func() time.Time
	key   *keyPair // made once, so that Check and Create ask for the same machine

	mu      sync.Mutex
	service core.Service // opened by the first call that needs it
	seen    *sighting
}

// New returns a driver that has touched nothing: docker-machine makes some only to
// ask for their flags.
func New(pools Pools) *Driver {
	return &Driver{BaseDriver: &drivers.BaseDriver{}, pools: pools, now: time.Now}
}

// DriverName implements drivers.Driver.
func (d *Driver) DriverName() string { return Name }

// GetIP implements drivers.Driver. It asks the pool where config.json does not
// know: a create that was killed just before its end has a machine all the same.
func (d *Driver) GetIP() (string, error) {
	if d.IPAddress == "" {
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		if _, err := d.machine(ctx); err != nil {
			return "", d.explain(err)
		}
	}
	if d.IPAddress == "" {
		return "", drivers.ErrHostIsNotRunning
	}
	return d.IPAddress, nil
}

// GetSSHHostname implements drivers.Driver.
func (d *Driver) GetSSHHostname() (string, error) { return d.GetIP() }

// GetSSHUsername implements drivers.Driver. Unlike BaseDriver's it does not write
// its answer down, which would then be asked for as if the user had.
func (d *Driver) GetSSHUsername() string {
	if d.SSHUser == "" {
		return drivers.DefaultSSHUser
	}
	return d.SSHUser
}

// GetSSHPort implements drivers.Driver; nor does it write its answer down.
func (d *Driver) GetSSHPort() (int, error) {
	if d.SSHPort == 0 {
		return drivers.DefaultSSHPort, nil
	}
	return d.SSHPort, nil
}

// pool opens the pool once per process.
func (d *Driver) pool(ctx context.Context) (core.Service, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.service == nil {
		service, err := d.pools.Open(ctx, d.URL, d.Token)
		if err != nil {
			return nil, err
		}
		d.service = service
	}
	return d.service, nil
}

// machine reads what the pool has under our ID, and how a deployed one is reached.
func (d *Driver) machine(ctx context.Context) (core.Machine, error) {
	service, err := d.pool(ctx)
	if err != nil {
		return core.Machine{}, err
	}
	m, err := service.Machine(ctx, d.AllocationID)
	if core.Is(err, core.NotFound) {
		return m, &core.Error{Op: "look at", Allocation: d.MachineName, Kind: core.NotFound, Err: errors.New("the pool holds no server for it: its create did not get that far"), Hint: "'docker-machine rm -y " + d.MachineName + "' forgets the record"}
	}
	if err == nil && m.State == core.Deployed {
		d.keep(m.Access)
	}
	return m, err
}

func (d *Driver) keep(a core.Access) {
	d.IPAddress, d.SSHPort, d.SSHUser, d.DockerPort = a.Address, a.SSHPort, a.SSHUser, a.DockerPort
}

// url is where the machine's Docker engine listens.
func (d *Driver) url() string {
	port := d.DockerPort
	if port == 0 {
		port = engine.DefaultPort
	}
	return "tcp://" + net.JoinHostPort(d.IPAddress, strconv.Itoa(port))
}
