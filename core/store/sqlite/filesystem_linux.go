package sqlite

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/metalpool/metalpool/core"
)

// networkFilesystems are told by their magic number. On all of them the shared
// memory of SQLite's WAL, or the locks, work for one host at best, and two hosts
// would corrupt the store without an error. 9p is how WSL 2 and some containers
// see their host's files.
var networkFilesystems = map[int64]string{
	unix.NFS_SUPER_MAGIC:   "NFS",
	unix.SMB_SUPER_MAGIC:   "SMB",
	unix.CIFS_SUPER_MAGIC:  "CIFS",
	unix.SMB2_SUPER_MAGIC:  "SMB",
	unix.V9FS_MAGIC:        "9p",
	unix.AFS_SUPER_MAGIC:   "AFS",
	unix.AFS_FS_MAGIC:      "AFS",
	unix.CODA_SUPER_MAGIC:  "Coda",
	unix.CEPH_SUPER_MAGIC:  "Ceph",
	unix.OCFS2_SUPER_MAGIC: "OCFS2",
	0x01161970:             "GFS2",
	0x0BD00BD0:             "Lustre",
	0x47504653:             "GPFS",
	0x19830326:             "BeeGFS",
	0x786F4256:             "a VirtualBox shared folder",
	0xBACBACBC:             "a VMware shared folder",
}

// localFUSE are the FUSE file systems whose files lie on this host. Any other may
// be a network's (sshfs, glusterfs, s3fs, virtiofs, …), and looks the same.
var localFUSE = map[string]bool{
	"fuseblk": true, "fuse.ntfs-3g": true, "fuse.exfat": true, "fuse.fuse-overlayfs": true,
	"fuse.gocryptfs": true, "fuse.encfs": true, "fuse.cryfs": true, "fuse.mergerfs": true, "fuse.bindfs": true,
}

// onLocalFilesystem refuses a path whose file system is another host's.
func onLocalFilesystem(path string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return notWritable(path, err)
	}
	var device unix.Stat_t
	if err := unix.Stat(path, &device); err != nil {
		return notWritable(path, err)
	}
	mounted := ""
	if fs.Type == unix.FUSE_SUPER_MAGIC {
		mounted = mountType(unix.Major(device.Dev), unix.Minor(device.Dev))
	}
	if kind := networkKind(fs.Type, mounted); kind != "" {
		return &core.Error{Op: "open the store", Kind: core.Invalid,
			Err:  fmt.Errorf("%s is on %s, where SQLite's locks and shared memory do not hold between hosts", path, kind),
			Hint: "keep the store on a local disk, and work on the pool from that host"}
	}
	return nil
}

// networkKind names the network file system, or is "" for a local one. mounted is
// the type in the mount table, which tells FUSE file systems apart.
func networkKind(magic int64, mounted string) string {
	if magic == unix.FUSE_SUPER_MAGIC {
		switch {
		case localFUSE[mounted]:
			return ""
		case mounted == "":
			return "a FUSE file system"
		}
		return mounted
	}
	// Some architectures sign-extend the 32 bits.
	return networkFilesystems[magic&0xFFFFFFFF]
}

// mountType is the type of the file system on that device in the mount table, or
// "" where it is not found.
func mountType(major, minor uint32) string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	device := fmt.Sprintf("%d:%d", major, minor)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// ID, parent, major:minor, root, mount point, options, optional fields…, "-", type, …
		before, after, found := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if found && len(fields) > 2 && fields[2] == device {
			kind, _, _ := strings.Cut(after, " ")
			return kind
		}
	}
	return ""
}

// lockHolder is the process that holds a flock on the file, or 0 where the kernel
// does not tell (it hides those of other containers).
func lockHolder(f *os.File) int {
	var stat unix.Stat_t
	if err := unix.Stat(f.Name(), &stat); err != nil {
		return 0
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return 0
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev), stat.Ino)
	for line := range strings.Lines(string(locks)) {
		// 12: FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF; those who wait have "->" second.
		fields := strings.Fields(line)
		if len(fields) > 5 && fields[1] == "FLOCK" && fields[5] == file {
			pid, err := strconv.Atoi(fields[4])
			if err != nil || pid < 0 {
				return 0
			}
			return pid
		}
	}
	return 0
}
