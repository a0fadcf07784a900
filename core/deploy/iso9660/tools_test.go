package iso9660_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metalpool/metalpool/core/deploy/iso9660"
	"github.com/metalpool/metalpool/internal/needs"
)

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// xorriso finds the names, the content, and what firmware starts.
func TestXorrisoAgrees(t *testing.T) {
	xorriso := needs.Program(t, "xorriso", "xorriso")
	v := volume("METALPOOL", samples["seed"])
	v.Boot = &iso9660.File{Size: 70_000, Data: strings.NewReader(strings.Repeat("b", 70_000))}
	dir := t.TempDir()
	image := filepath.Join(dir, "image.iso")
	if err := os.WriteFile(image, write(t, v), 0o600); err != nil {
		t.Fatal(err)
	}

	report := output(t, xorriso, "-indev", image, "-report_el_torito", "plain")
	for _, want := range []string{"Volume id    : 'METALPOOL'", "El Torito boot img :   1  UEFI  y"} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in:\n%s", want, report)
		}
	}
	for _, word := range []string{"WARNING", "SORRY", "FAILURE"} {
		if strings.Contains(report, word) {
			t.Errorf("a %s:\n%s", word, report)
		}
	}
	output(t, xorriso, "-osirrox", "on", "-indev", image, "-extract", "/", filepath.Join(dir, "files"))
	for name, want := range samples["seed"] {
		got, err := os.ReadFile(filepath.Join(dir, "files", name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}
}

// blkid is what cloud-init finds its seed with.
func TestBlkidFindsTheLabel(t *testing.T) {
	blkid := needs.Program(t, "blkid", "util-linux")
	image := filepath.Join(t.TempDir(), "image.iso")
	if err := os.WriteFile(image, write(t, volume("cidata", samples["seed"])), 0o600); err != nil {
		t.Fatal(err)
	}
	out := output(t, blkid, "-p", "-o", "export", image)
	for _, want := range []string{"LABEL=cidata", "TYPE=iso9660", "USAGE=filesystem"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in:\n%s", want, out)
		}
	}
}
