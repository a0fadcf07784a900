package deploy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/bootmedia"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// EnvRamdisk names the boot ISO, where it is in none of the usual places.
const EnvRamdisk = "METALPOOL_RAMDISK"

// ramdiskName is the boot ISO's, wherever it is looked for.
const ramdiskName = "ramdisk.iso"

// ramdiskPlaces are the files in which a boot ISO is looked for, the best first: one
// beside the program fits it best.
func ramdiskPlaces() []string {
	var places []string
	if self, err := os.Executable(); err == nil {
		places = append(places, filepath.Join(filepath.Dir(self), ramdiskName))
	}
	data := os.Getenv("XDG_DATA_HOME")
	if home, err := os.UserHomeDir(); err == nil {
		data = cmp.Or(data, filepath.Join(home, ".local", "share"))
	}
	if data != "" {
		places = append(places, filepath.Join(data, "metalpool", ramdiskName))
	}
	return append(places, filepath.Join("/usr/share/metalpool", ramdiskName))
}

// findISO opens the boot ISO, or returns nil where there is none.
func (d *Deployer) findISO() (*bootmedia.ISO, error) {
	if d.cfg.Ramdisk != "" {
		return openISO(d.cfg.Ramdisk)
	}
	for _, path := range ramdiskPlaces() {
		iso, err := openISO(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return iso, err
		}
	}
	return nil, nil //nolint:nilnil // no ISO, and nothing wrong with that
}

func openISO(path string) (*bootmedia.ISO, error) {
	iso, err := bootmedia.OpenFile(path)
	if err != nil {
		return nil, err
	}
	version, err := iso.Version()
	if err == nil && version != wire.ParamsVersion {
		err = fmt.Errorf("its agent is of version %d, and this program talks to version %d: it has to be built again", version, wire.ParamsVersion)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return iso, nil
}

// emptyISO boots nothing, and is enough for the lab's simulated nodes: they read of
// their media what it says to them, and have their agent within.
var emptyISO = sync.OnceValues(func() (*bootmedia.ISO, error) {
	var iso bytes.Buffer
	if err := bootmedia.Write(&iso, bootmedia.Contents{}); err != nil {
		return nil, err
	}
	return bootmedia.Open(bytes.NewReader(iso.Bytes()), int64(iso.Len()))
})

// CheckRamdisk implements core.RamdiskChecker. That there is none is no fault yet: a lab's
// nodes need none.
func (d *Deployer) CheckRamdisk() error {
	if _, err := d.openedISO(); err != nil {
		return err
	}
	return nil
}

func (d *Deployer) openedISO() (*bootmedia.ISO, *core.Error) {
	iso, err := d.iso()
	if err != nil {
		return nil, &core.Error{
			Op: "open the boot ISO", Kind: core.Invalid, Err: err,
			Hint: "run 'make ramdisk', or set " + EnvRamdisk + " to the ISO that it made; a server that runs is to be started again then",
		}
	}
	return iso, nil
}

// bootMedia puts a parameter area into the boot media.
func (d *Deployer) bootMedia(p core.BootParams, area []byte) (*bootmedia.Media, error) {
	iso, err := d.openedISO()
	if err != nil {
		err.Node = p.Node
		return nil, err
	}
	if iso == nil && !onLoopback(p.BMCHost) {
		return nil, &core.Error{
			Op: "find the boot ISO", Node: p.Node, Kind: core.Invalid,
			Err:  fmt.Errorf("there is no %s beside this program, nor in the folders for data", ramdiskName),
			Hint: "run 'make ramdisk', or set " + EnvRamdisk + " to the ISO that it made",
		}
	}
	if iso == nil {
		empty, err := emptyISO()
		if err != nil {
			return nil, err
		}
		iso = empty
	}
	return iso.Media(area)
}

// onLoopback is true of a lab's BMCs, and of no server's.
func onLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() || host == "localhost"
}
