package needs

import (
	"path/filepath"
	"testing"
)

// Docker returns the path of a Docker client, fetched by tools/docker-cli.sh where
// there is none. It takes no daemon.
func Docker(t testing.TB) string {
	t.Helper()
	path := filepath.Join(repository(t), "bin", "docker")
	if err := run(t.Context(), filepath.Join(repository(t), "tools", "docker-cli.sh"), path); err != nil {
		Missing(t, "Docker's client: "+err.Error())
	}
	return path
}
