package guest

import (
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/metalpool/metalpool/lab/guest/vfs"
)

const (
	osRelease = `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
SUPPORT_URL="https://www.debian.org/support"
BUG_REPORT_URL="https://bugs.debian.org/"
`
	kernel        = "6.1.0-31-cloud-amd64"
	engineVersion = "20.10.24"
	engineAPI     = "1.41"

	dockerUnit = `[Unit]
Description=Docker Application Container Engine

[Service]
ExecStart=/usr/bin/dockerd -H fd://

[Install]
WantedBy=multi-user.target
`
	sshUnit = `[Unit]
Description=OpenBSD Secure Shell server

[Service]
ExecStart=/usr/sbin/sshd -D

[Install]
WantedBy=multi-user.target
`
	unitDir  = "/lib/systemd/system"
	wantsDir = "/etc/systemd/system/multi-user.target.wants"

	// programMark starts a file that is one of our programs; its name follows.
	programMark = "\x7fLAB "
)

// debian is what every machine is installed with. Its own name and users are not in
// it; they come with the seed.
var debian = sync.OnceValue(func() *vfs.Image {
	image := vfs.NewImage(time.Date(2025, 3, 15, 9, 0, 0, 0, time.UTC))
	for _, dir := range []string{"/boot", "/etc/docker", "/etc/ssh", "/etc/sudoers.d", "/home", "/mnt", "/opt", "/run", "/srv", "/usr/local/bin", "/usr/sbin", "/var/lib/cloud", "/var/lib/docker", "/var/log", wantsDir} {
		image.Add(dir, fs.ModeDir|0o755, "")
	}
	image.Add("/root", fs.ModeDir|0o700, "")
	for _, dir := range []string{"/tmp", "/var/tmp"} {
		image.Add(dir, fs.ModeDir|fs.ModeSticky|0o777, "")
	}
	for link, target := range map[string]string{
		"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib": "usr/lib", "/var/run": "/run", "/etc/os-release": "../usr/lib/os-release",
		wantsDir + "/docker.service": unitDir + "/docker.service", wantsDir + "/ssh.service": unitDir + "/ssh.service",
	} {
		image.Add(link, fs.ModeSymlink|0o777, target)
	}
	for _, device := range []string{"null", "zero"} {
		image.Add("/dev/"+device, fs.ModeDevice|fs.ModeCharDevice|0o666, device)
	}
	for _, name := range []string{"random", "urandom"} {
		image.Add("/dev/"+name, fs.ModeDevice|fs.ModeCharDevice|0o666, "random")
	}
	for name, text := range map[string]string{
		"/usr/lib/os-release":                    osRelease,
		"/etc/debian_version":                    "12.10\n",
		"/etc/hostname":                          "localhost\n",
		"/etc/hosts":                             "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n",
		"/etc/passwd":                            "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"/etc/group":                             "root:x:0:\nsudo:x:27:\ndocker:x:998:\nnogroup:x:65534:\n",
		"/usr/lib/systemd/system/docker.service": dockerUnit,
		"/usr/lib/systemd/system/ssh.service":    sshUnit,
		"/etc/ssh/sshd_config":                   "PasswordAuthentication no\nSubsystem sftp internal-sftp\n",
		"/usr/share/doc/metalpool-lab/copyright": "This machine is simulated by metalpool's lab.\n",
	} {
		image.Add(name, 0o644, text)
	}
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		dir := "/usr/bin/"
		if slices.Contains([]string{"reboot", "shutdown", "poweroff", "halt", "dockerd"}, name) && name != "dockerd" {
			dir = "/usr/sbin/"
		}
		image.Add(dir+name, 0o755, programMark+name)
	}
	return image
})
