// Package deploy serves what a node needs while it is deployed or erased: boot
// media, the check-in of its agent, image data; and it talks to the agent.
package deploy

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/bootmedia"
	"github.com/metalpool/metalpool/core/deploy/image"
)

// Config is what a Deployer is made of. The zero Config works.
type Config struct {
	// CacheDir keeps what is made once and used again: boot media, examined images.
	// Empty: a folder of the user's cache.
	CacheDir string
	// Advertise is the host by which BMCs and agents reach this process, where the
	// route does not tell: METALPOOL_ADVERTISE.
	Advertise string
	// Bind is the address to listen at; empty is every address.
	Bind string
	// Ramdisk is the boot ISO that servers start: METALPOOL_RAMDISK. Empty: ramdisk.iso
	// beside the program, in the user's or in the system's folder for data.
	Ramdisk string
	// Ports is "30000-30100": METALPOOL_PORTS. Empty: any free port.
	Ports string
	// Lost is how long an agent that was reached before may be out of reach until a
	// command to it fails. 0 is 5 minutes.
	Lost time.Duration
	// Refused is told of each check-in that was turned down, once per boot, peer and
	// reason, and whose boot it was; node is empty where this process did not offer it.
	// It must return quickly; nil is allowed.
	Refused func(bootID string, node core.NodeID, peer, why string)
	Log     *slog.Logger // nil: slog.Default
	Now     func() time.Time
}

// Deployer implements core.Deployer. It listens from the first Offer or OpenImage
// until Close.
type Deployer struct {
	cfg    Config
	ports  portRange
	images *image.Library
	plain  listener                       // media and chunks
	tls    listener                       // check-ins
	iso    func() (*bootmedia.ISO, error) // nil without an error where there is none

	mu     sync.Mutex
	mounts map[string]mount  // by random path
	offers map[string]*offer // by boot ID
	told   map[refusal]bool
}

// New checks the configuration and opens nothing.
func New(cfg Config) (*Deployer, error) {
	ports, err := parsePorts(cfg.Ports)
	if err != nil {
		return nil, &core.Error{Op: "read the port range", Kind: core.Invalid, Err: err, Hint: "write it as 30000-30100"}
	}
	if cfg.Lost == 0 {
		cfg.Lost = 5 * time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.CacheDir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, &core.Error{Op: "find a folder for images", Kind: core.Invalid, Err: err, Hint: "set HOME or XDG_CACHE_HOME"}
		}
		cfg.CacheDir = filepath.Join(base, "metalpool")
	}
	d := &Deployer{
		cfg: cfg, ports: ports, images: image.NewLibrary(cfg.CacheDir),
		mounts: map[string]mount{},
		offers: map[string]*offer{},
		told:   map[refusal]bool{},
	}
	d.iso = sync.OnceValues(d.findISO)
	return d, nil
}

// Close stops listening; who is being served is cut off.
func (d *Deployer) Close() error {
	err := d.plain.close()
	if tlsErr := d.tls.close(); err == nil {
		err = tlsErr
	}
	return err
}

// portRange is where to listen; the zero one is any free port.
type portRange struct{ first, last int }

func parsePorts(text string) (portRange, error) {
	if text == "" {
		return portRange{}, nil
	}
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	first, errFirst := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
	last, errLast := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
	if errFirst != nil || errLast != nil || first == 0 || last < first {
		return portRange{}, fmt.Errorf("%q is not a range of ports", text)
	}
	return portRange{int(first), int(last)}, nil
}
