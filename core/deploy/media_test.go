package deploy_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy"
	"github.com/metalpool/metalpool/core/deploy/bootmedia"
	"github.com/metalpool/metalpool/core/deploy/iso9660"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

const kernel = "this stands for a kernel"

// newISO is a boot ISO whose agent is of that version; 0: it does not say.
func newISO(t *testing.T, version int) string {
	t.Helper()
	c := bootmedia.Contents{System: &iso9660.File{Size: int64(len(kernel)), Data: strings.NewReader(kernel)}}
	if version != 0 {
		c.Files = append(c.Files, bootmedia.Version(version))
	}
	var iso bytes.Buffer
	if err := bootmedia.Write(&iso, c); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ramdisk.iso")
	if err := os.WriteFile(path, iso.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// offerTo offers a boot to a BMC, and returns the URL of its media.
func offerTo(t *testing.T, d *deploy.Deployer, bmc string) (string, error) {
	t.Helper()
	b, s, err := d.NewBoot(silence)
	if err != nil {
		t.Fatal(err)
	}
	return d.Offer(t.Context(), b, s, core.BootParams{Node: "n1", Generation: 1, BMCHost: bmc, Advertise: "127.0.0.1", Silence: silence})
}

func TestTheRamdiskIsServed(t *testing.T) {
	path := newISO(t, wire.ParamsVersion)
	byDefault := filepath.Join(t.TempDir(), "metalpool", "ramdisk.iso")
	if err := os.Mkdir(filepath.Dir(byDefault), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(newISO(t, wire.ParamsVersion), byDefault); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*deploy.Config){
		"where it is said":          func(c *deploy.Config) { c.Ramdisk = path },
		"in the user's data folder": func(*deploy.Config) { t.Setenv("XDG_DATA_HOME", filepath.Dir(filepath.Dir(byDefault))) },
	} {
		d, _ := newDeployer(t, change)
		url, err := offerTo(t, d, "192.0.2.1")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if status, media := get(t, url); status != http.StatusOK || !bytes.Contains(media, []byte(kernel)) || !bytes.Contains(media, []byte(`"node":"n1"`)) {
			t.Errorf("%s: status %d, and %d bytes of media without the kernel or the parameters", name, status, len(media))
		}
	}
}

// Media that would start nothing, or an agent that nobody understands, is not given
// to a server: it would wait for a check-in until the time is over.
func TestARamdiskThatDoesNotFitIsRefused(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	text := filepath.Join(t.TempDir(), "text.iso")
	if err := os.WriteFile(text, []byte("no ISO"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ path, bmc, want string }{
		"none is anywhere":             {"", "192.0.2.1", "there is no ramdisk.iso beside this program"},
		"the one named is not":         {filepath.Join(t.TempDir(), "none.iso"), "127.0.0.1", "none.iso"},
		"of another version":           {newISO(t, wire.ParamsVersion+1), "127.0.0.1", "its agent is of version"},
		"of before there were scripts": {newISO(t, 1), "192.0.2.1", "its agent is of version 1, and this program talks to version 2: it has to be built again"},
		"of a version it does not say": {newISO(t, 0), "127.0.0.1", "does not say of which version"},
		"no ISO":                       {text, "192.0.2.1", "no boot ISO"},
	} {
		d, _ := newDeployer(t, func(c *deploy.Config) { c.Ramdisk = test.path })
		_, err := offerTo(t, d, test.bmc)
		if core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "make ramdisk") {
			t.Errorf("%s: %v", name, err)
		}
		// So does whoever looks ahead, unless nothing is there.
		if err := d.CheckRamdisk(); test.path == "" && err != nil || test.path != "" && (core.KindOf(err) != core.Invalid || !strings.Contains(err.Error(), "make ramdisk")) {
			t.Errorf("%s, looked at ahead: %v", name, err)
		}
	}
	// A lab's simulated nodes have their agent within.
	d, _ := newDeployer(t)
	if _, err := offerTo(t, d, "127.0.0.1"); err != nil {
		t.Errorf("a lab's node: %v", err)
	}
}
