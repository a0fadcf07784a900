package lab_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs"
	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/fat16"
	"github.com/diskfs/go-diskfs/partition/gpt"

	"github.com/metalpool/metalpool/lab"
	"github.com/metalpool/metalpool/lab/bmc"
)

func TestWriteImageIsAlwaysTheSame(t *testing.T) {
	var one, two bytes.Buffer
	try(t, lab.WriteImage(&one), lab.WriteImage(&two))
	if one.Len() != lab.ImageSize || !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Errorf("two images of %d and %d bytes differ", one.Len(), two.Len())
	}
	zero := bytes.Count(one.Bytes(), []byte{0})
	if zero < lab.ImageSize/2 || zero > lab.ImageSize*99/100 {
		t.Errorf("%d of %d bytes are zero", zero, lab.ImageSize)
	}
}

// The image is what others take for a disk: a library that we did not use to make
// the file system finds the loader in it.
func TestWriteImageIsADisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.raw")
	f, err := os.Create(path)
	try(t, err)
	try(t, lab.WriteImage(f), f.Close())
	d, err := diskfs.Open(path, diskfs.WithOpenMode(diskfs.ReadOnly))
	try(t, err)
	defer d.Close()
	table, err := d.GetPartitionTable()
	try(t, err)
	partitions := table.GetPartitions()
	if len(partitions) != 2 || partitions[0].(*gpt.Partition).Type != gpt.EFISystemPartition {
		t.Fatalf("partitions %+v", partitions)
	}
	image, err := os.Open(path)
	try(t, err)
	defer image.Close()
	esp, err := fat16.Read(file.New(image, true), partitions[0].GetSize(), partitions[0].GetStart(), 512)
	try(t, err)
	if label := esp.Label(); label != "ESP" {
		t.Errorf("the file system is called %q", label)
	}
	loader, err := esp.ReadFile("EFI/BOOT/BOOTX64.EFI")
	try(t, err)
	if len(loader) != 256<<10 || bytes.Count(loader, []byte{0}) > 4096 {
		t.Errorf("a loader of %d bytes", len(loader))
	}
}

// The page lists every fault there is, and no other.
func TestThePageListsTheFaults(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "lab.md"))
	try(t, err)
	var listed []string
	for line := range strings.Lines(string(page)) {
		if kind, _, found := strings.Cut(strings.TrimPrefix(line, "| `"), "` |"); found && strings.HasPrefix(line, "| `") {
			listed = append(listed, kind)
		}
	}
	var known []string
	for _, k := range lab.FaultKinds() {
		known = append(known, string(k))
	}
	for _, k := range bmc.Kinds() {
		known = append(known, string(k))
	}
	if !slices.Equal(listed, known) {
		t.Errorf("docs/lab.md lists %q, there are %q", listed, known)
	}
}
