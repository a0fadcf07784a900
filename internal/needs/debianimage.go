package needs

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// debianImageTools are the programs that tools/debian-image.sh runs and a small
// system lacks, with their packages.
var debianImageTools = map[string]string{"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "sfdisk": "fdisk", "mformat": "mtools"}

// noDebian is the script's exit status where Debian could not be fetched.
const noDebian = 69

// DebianImage returns the path of a raw disk image with a real Debian 12, see
// tools/debian-image.sh. It is made where .cache has none of the script as it is
// now, which takes root, the network and about a minute.
func DebianImage(t testing.TB) string {
	t.Helper()
	script := filepath.Join(repository(t), "tools", "debian-image.sh")
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(repository(t), ".cache", fmt.Sprintf("debian-%x.raw", sha256.Sum256(text)))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if os.Getuid() != 0 {
		Missing(t, "root, to unpack Debian with the owners of its files")
	}
	for program, pkg := range debianImageTools {
		Program(t, program, pkg)
	}
	if err := buildDebianImage(t, script, path); err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == noDebian {
			Missing(t, fmt.Sprintf("packages from a mirror of Debian: %v", err))
		}
		t.Fatal(err)
	}
	return path
}

// buildDebianImage lets one test process build while others wait for the result.
func buildDebianImage(t testing.TB, script, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	unlock, err := lock(path + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return run(t.Context(), script, path)
}
