package handover

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/agent/handover/bootcfg"
)

// unchanged are the mount options by which a file system stays as it is, to the last
// byte: a journal left open is not replayed. The OS itself will do so.
var unchanged = map[string]string{
	"ext4":  "noload",
	"xfs":   "norecovery,nouuid",
	"btrfs": "rescue=nologreplay",
	"vfat":  "",
}

// volumes are the mounted file systems of a disk.
type volumes struct {
	all     []bootcfg.Volume
	skipped []string // partitions that are not mounted, and why
	close   []func() error
}

// mount mounts what it can; what it cannot is no error before something is missed.
func (s *System) mount(d agent.Disk, parts []partition) *volumes {
	v := &volumes{}
	for _, p := range parts {
		block := identify(io.NewSectionReader(d, p.at, p.size))
		options, ok := unchanged[block.kind]
		if !ok {
			if block.kind == "" {
				block.kind = "of an unknown kind"
			}
			v.skipped = append(v.skipped, fmt.Sprintf("%s is %s", p, block.kind))
			continue
		}
		root, closing, err := s.mountOne(p.device, block.kind, options)
		if err != nil {
			v.skipped = append(v.skipped, fmt.Sprintf("%s is %s and cannot be mounted: %v", p, block.kind, err))
			continue
		}
		v.close = append(v.close, closing)
		v.all = append(v.all, bootcfg.Volume{
			Name: p.String(), UUID: block.uuid, Label: block.label, Number: p.number, ESP: p.kind == espType, Files: root.FS(),
		})
	}
	return v
}

// mountOne returns a root that no link of the file system leads out of.
func (s *System) mountOne(device, kind, options string) (root *os.Root, closing func() error, err error) {
	base := filepath.Join(s.root(), "run")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp(base, "metalpool-")
	if err != nil {
		return nil, nil, err
	}
	try := func() error {
		return unix.Mount(device, dir, kind, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options)
	}
	err = try()
	if errors.Is(err, unix.ENODEV) && s.LoadModule != nil {
		if err = s.LoadModule(kind); err == nil {
			err = try()
		}
	}
	if err != nil {
		return nil, nil, errors.Join(err, os.Remove(dir))
	}
	leave := func() error { return errors.Join(unix.Unmount(dir, 0), os.Remove(dir)) }
	if root, err = os.OpenRoot(dir); err != nil {
		return nil, nil, errors.Join(err, leave())
	}
	return root, func() error { return errors.Join(root.Close(), leave()) }, nil
}

// Close unmounts all. What stays mounted, read only, keeps nobody from leaving.
func (v *volumes) Close() error {
	var errs []error
	for _, c := range v.close {
		errs = append(errs, c())
	}
	v.close = nil
	return errors.Join(errs...)
}
