// Package open turns an address into a ready pool. It is the only place where
// stores, backends and the deployer are put together.
package open

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/backend/redfish"
	"github.com/metalpool/metalpool/core/credential"
	"github.com/metalpool/metalpool/core/deploy"
	"github.com/metalpool/metalpool/core/steps"
)

// The environment that opening reads.
const (
	EnvURL       = "METALPOOL_URL"
	EnvKey       = "METALPOOL_KEY"       // the store's key: a path, or its text
	EnvAdvertise = "METALPOOL_ADVERTISE" // host[:port] that BMCs and agents reach us at
	EnvPorts     = "METALPOOL_PORTS"     // "30000-30100": ports that a firewall lets through
	EnvToken     = "METALPOOL_TOKEN"     // for a pool behind a server
	EnvPlugins   = "METALPOOL_PLUGINS"   // folders of plugins, separated as in PATH
	// EnvFingerprint pins a server's own CA where nobody has logged in: in CI.
	EnvFingerprint = "METALPOOL_FINGERPRINT"
)

// Options say how to open.
type Options struct {
	// Create makes the store where there is none. Adapters do not: a pool without
	// nodes serves nobody, and a wrong path would go unnoticed.
	Create bool
	Token  string // for a pool behind a server; default: METALPOOL_TOKEN, else that of the login
	Log    *slog.Logger
	// Detach starts the worker that finishes what is left; nil starts this program again
	// as one. See core.Config.
	Detach func() (started bool, err error)
	// Serves is core.Config's.
	Serves bool
}

// Service opens a pool for an adapter. An empty url means METALPOOL_URL, else the
// embedded default.
func Service(ctx context.Context, url string, o Options) (core.Service, error) {
	place, err := Locate(url)
	if err != nil {
		return nil, err
	}
	return Operator(ctx, place, o)
}

// Operator opens a pool for its operator, embedded or behind a server: what is allowed
// there its token says.
func Operator(ctx context.Context, url string, o Options) (core.Operator, error) {
	address, err := find(url)
	if err != nil {
		return nil, err
	}
	if Served(address) {
		return served(address, o)
	}
	return Engine(ctx, address, o)
}

// Engine opens a pool in this process.
func Engine(ctx context.Context, url string, o Options) (*core.Engine, error) {
	address, err := find(url)
	if err != nil {
		return nil, err
	}
	if Served(address) {
		return nil, &core.Error{Op: "open pool", Kind: core.Invalid, Err: errors.New("the pool at " + address + " is open in its server"), Hint: "name the pool's own store with METALPOOL_URL, on the host that has it"}
	}
	e, _, err := assemble(ctx, address, o)
	return e, err
}

// assemble puts the parts together on the store at address. base is what the pool's own
// files on this host are named after.
func assemble(ctx context.Context, address string, o Options) (e *core.Engine, base string, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	store, key, base, err := openStore(ctx, address, opening{create: o.Create})
	if err != nil {
		return nil, "", err
	}
	if o.Detach == nil {
		o.Detach = func() (bool, error) { return startWorker(address, base) }
	}
	plugins, err := pluginFolders()
	if err != nil {
		return nil, "", errors.Join(err, store.Close())
	}
	deployer, err := deploy.New(deploy.Config{
		CacheDir:  filepath.Join(filepath.Dir(base), "cache"),
		Advertise: os.Getenv(EnvAdvertise),
		Ports:     os.Getenv(EnvPorts),
		Ramdisk:   os.Getenv(deploy.EnvRamdisk),
		Log:       o.Log,
		Refused:   func(boot string, node core.NodeID, peer, why string) { e.AgentRefused(boot, node, peer, why) },
	})
	if err != nil {
		return nil, "", errors.Join(err, store.Close())
	}
	e = core.New(core.Config{
		Store:    store,
		Sealer:   key,
		Backends: map[string]core.Connector{"redfish": redfish.New(redfish.Options{})},
		Steps:    steps.Runners(plugins),
		Deployer: deployer,
		Timing:   timing,
		Log:      o.Log,
		Detach:   o.Detach,
		Serves:   o.Serves,
		Resolve:  credential.Resolve,
		Findable: credential.Findable,
	})
	return e, base, nil
}

// pluginFolders are where plugins are looked for.
func pluginFolders() ([]string, error) {
	if named := os.Getenv(EnvPlugins); named != "" {
		return filepath.SplitList(named), nil
	}
	folder, err := dataFolder()
	return []string{filepath.Join(folder, "plugins"), "/usr/local/lib/metalpool/plugins", "/usr/lib/metalpool/plugins"}, err
}
