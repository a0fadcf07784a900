package main

import (
	"errors"
	"fmt"
	"os"
	"path"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/fat32"
	"github.com/diskfs/go-diskfs/partition/gpt"
)

const (
	sector  = 512
	espAt   = 1 << 20
	espSize = 40 << 20 // bytes; a FAT32 has at least 33 MiB
	tableAt = 1 << 20  // what the second partition table has at the end
)

// content is a file on the EFI system partition.
type content struct {
	name string
	data []byte
}

// writeImage writes the whole disk image.
func writeImage(f *os.File, files []content) error {
	// Every library that puts a time into a file takes this one.
	if err := os.Setenv("SOURCE_DATE_EPOCH", "0"); err != nil {
		return err
	}
	const size = espAt + espSize + tableAt
	if err := f.Truncate(size); err != nil {
		return err
	}
	table := &gpt.Table{
		LogicalSectorSize: sector, PhysicalSectorSize: sector, ProtectiveMBR: true, GUID: "74696E79-6F73-4469-8573-6B2020202020",
		Partitions: []*gpt.Partition{
			{Index: 1, Start: espAt / sector, End: (espAt+espSize)/sector - 1, Type: gpt.EFISystemPartition, Name: "esp", GUID: "74696E79-6F73-4573-9020-202020202020"},
		},
	}
	if err := table.Write(f, size); err != nil {
		return fmt.Errorf("write the partition table: %w", err)
	}
	fs, err := fat32.Create(file.New(f, false), espSize, espAt, sector, "TINYOS", true)
	if err != nil {
		return fmt.Errorf("make the EFI system partition: %w", err)
	}
	for _, c := range files {
		if err := put(fs, c); err != nil {
			return fmt.Errorf("write %s: %w", c.name, err)
		}
	}
	return nil
}

func put(fs *fat32.FileSystem, c content) (err error) {
	if err := fs.Mkdir(path.Dir(c.name)); err != nil {
		return err
	}
	f, err := fs.OpenFile("/"+c.name, os.O_CREATE|os.O_RDWR)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.Write(c.data)
	return err
}
