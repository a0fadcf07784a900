package host_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/plugin/host"
	"github.com/metalpool/metalpool/core/plugin/wire"
)

func TestPluginsThatAreFound(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(folder, file string) error
		kind    core.Kind // "" is that it is found
		says    string
	}{
		"there":                 {func(_, file string) error { return os.WriteFile(file, nil, 0o755) }, "", ""},
		"not there":             {func(_, _ string) error { return nil }, core.NotFound, "there is no metalpool-step-dns in /nowhere, plugins, "},
		"no program":            {func(_, file string) error { return os.WriteFile(file, nil, 0o644) }, core.Denied, "is no executable file; build it there, or make it executable (chmod +x)"},
		"a folder":              {func(_, file string) error { return os.Mkdir(file, 0o755) }, core.Denied, "is no executable file"},
		"open to a group":       {func(_, file string) error { return write(file, 0o775) }, core.Denied, "can be written by others (its mode is 775)"},
		"open to all":           {func(_, file string) error { return write(file, 0o757) }, core.Denied, "can be written by others"},
		"in an open folder":     {func(folder, file string) error { return both(write(file, 0o755), os.Chmod(folder, 0o777)) }, core.Denied, "can be written by others (its mode is 777)"},
		"of somebody":           {func(_, file string) error { return both(write(file, 0o755), os.Chown(file, 12345, -1)) }, core.Denied, "belongs to user 12345"},
		"a link":                {func(folder, file string) error { return both(write(folder+"/real", 0o755), os.Symlink("real", file)) }, "", ""},
		"a link to an open one": {func(folder, file string) error { return both(write(folder+"/real", 0o757), os.Symlink("real", file)) }, core.Denied, "real can be written by others"},
		"of somebody, a link":   {func(_, file string) error { return both(os.Symlink("/bin/true", file), os.Lchown(file, 12345, -1)) }, core.Denied, "belongs to user 12345"},
		"a link in an open one": {func(folder, file string) error { return both(os.Symlink("/bin/true", file), os.Chmod(folder, 0o777)) }, core.Denied, "can be written by others (its mode is 777)"},
		"a link to nothing":     {func(_, file string) error { return os.Symlink("nothing", file) }, core.NotFound, "there is no"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(name, "of somebody") && os.Getuid() != 0 {
				t.Skip("only root gives files away")
			}
			folder := t.TempDir()
			if err := tt.prepare(folder, filepath.Join(folder, "metalpool-step-dns")); err != nil {
				t.Fatal(err)
			}
			path, err := host.Find([]string{"/nowhere", "plugins", folder}, wire.KindStep, "dns")
			if core.KindOf(err) != tt.kind || err != nil && !strings.Contains(err.Error(), tt.says) || err == nil && filepath.Dir(path) != folder {
				t.Errorf("%s, %v", path, err)
			}
		})
	}
}

func write(file string, mode os.FileMode) error {
	return both(os.WriteFile(file, nil, 0o600), os.Chmod(file, mode))
}

func both(err, next error) error {
	if err != nil {
		return err
	}
	return next
}
