package sqlite

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestNetworkKind(t *testing.T) {
	for _, c := range []struct {
		magic   int64
		mounted string
		want    string
	}{
		{unix.EXT4_SUPER_MAGIC, "", ""},
		{unix.XFS_SUPER_MAGIC, "", ""},
		{unix.BTRFS_SUPER_MAGIC, "", ""},
		{unix.TMPFS_MAGIC, "", ""},
		{unix.OVERLAYFS_SUPER_MAGIC, "", ""},
		{0x2FC12FC1, "", ""}, // ZFS
		{unix.NFS_SUPER_MAGIC, "", "NFS"},
		{unix.CIFS_SUPER_MAGIC, "", "CIFS"},
		{-11317950, "", "CIFS"}, // as 32-bit systems say it
		{unix.SMB2_SUPER_MAGIC, "", "SMB"},
		{unix.V9FS_MAGIC, "", "9p"},
		{unix.CEPH_SUPER_MAGIC, "", "Ceph"},
		{unix.FUSE_SUPER_MAGIC, "fuseblk", ""},
		{unix.FUSE_SUPER_MAGIC, "fuse.gocryptfs", ""},
		{unix.FUSE_SUPER_MAGIC, "fuse.sshfs", "fuse.sshfs"},
		{unix.FUSE_SUPER_MAGIC, "virtiofs", "virtiofs"},
		{unix.FUSE_SUPER_MAGIC, "", "a FUSE file system"},
	} {
		if got := networkKind(c.magic, c.mounted); got != c.want {
			t.Errorf("%#x %s: got %q, want %q", c.magic, c.mounted, got, c.want)
		}
	}
}

func TestMountType(t *testing.T) {
	var proc unix.Stat_t
	if err := unix.Stat("/proc", &proc); err != nil {
		t.Fatal(err)
	}
	if got := mountType(unix.Major(proc.Dev), unix.Minor(proc.Dev)); got != "proc" {
		t.Errorf("/proc is %q", got)
	}
	if got := mountType(4095, 4095); got != "" {
		t.Errorf("a device that is not there is %q", got)
	}
}
