package needs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// DebianDocker returns the path of the example image, a raw disk with Debian and
// Docker Engine: the one that METALPOOL_IMAGE names, else that of
// examples/images/debian-12-docker as it is now. The first time takes Debian's
// packages, root or subordinate IDs, and a minute or two.
func DebianDocker(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("METALPOOL_IMAGE"); path != "" {
		return path
	}
	root := repository(t)
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, "tools", "os-image.sh"), filepath.Join(root, "examples", "images", "debian-12-docker"))
	var told strings.Builder
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil {
		why := "the example image: " + lastLine([]byte(told.String()))
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == noDebian {
			Missing(t, why)
		}
		t.Fatalf("%s (%v)", why, err)
	}
	return strings.TrimSpace(string(out))
}
