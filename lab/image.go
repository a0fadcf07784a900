package lab

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"github.com/diskfs/go-diskfs/partition/gpt"
)

// ImageSize is that of the image that WriteImage writes, in bytes.
const ImageSize = 64 << 20

const (
	imageSector = 512
	espStart    = 2048 // sectors
	espSectors  = 32 << 10
	rootStart   = espStart + espSectors
	rootEnd     = ImageSize/imageSector - 2048 - 1
)

// WriteImage writes a small disk image for demos: raw, always the same bytes, most of
// them zero. It has a partition table, an EFI system partition and a root partition
// with some data; so everything that lays down an image has its work to do. A
// simulated node boots it; a real server would not get far.
func WriteImage(w io.Writer) error {
	f, err := os.CreateTemp("", "metalpool-lab-image-")
	if err != nil {
		return err
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	if err := f.Truncate(ImageSize); err != nil {
		return err
	}
	if err := fillImage(f); err != nil {
		return fmt.Errorf("make the lab's image: %w", err)
	}
	_, err = io.Copy(w, io.NewSectionReader(f, 0, ImageSize))
	return err
}

func fillImage(f *os.File) error {
	table := &gpt.Table{
		LogicalSectorSize: imageSector, PhysicalSectorSize: imageSector, ProtectiveMBR: true, GUID: "6C616220-696D-4167-8520-6F6620746865",
		Partitions: []*gpt.Partition{
			{Index: 1, Start: espStart, End: rootStart - 1, Type: gpt.EFISystemPartition, Name: "esp", GUID: "6C616220-696D-4167-8520-657370202020"},
			{Index: 2, Start: rootStart, End: rootEnd, Type: gpt.LinuxFilesystem, Name: "root", GUID: "6C616220-696D-4167-8520-726F6F742020"},
		},
	}
	if err := table.Write(f, ImageSize); err != nil {
		return err
	}
	// Always the same, and like nothing that compresses well.
	data := rand.NewChaCha8([32]byte([]byte("the root of the lab's demo image")))
	loader := make([]byte, 256<<10)
	_, _ = data.Read(loader) // never fails
	if _, err := f.WriteAt(newESP(loader), espStart*imageSector); err != nil {
		return err
	}
	// Pieces with holes between them, as a file system has.
	for at, n := int64(rootStart*imageSector), 0; n < 6; at, n = at+3<<20, n+1 {
		if _, err := io.Copy(io.NewOffsetWriter(f, at), io.LimitReader(data, 700_001)); err != nil {
			return err
		}
	}
	return nil
}
