package efi

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/fat32"
)

// program is what firmware starts from media that it knows nothing else of.
const program = "/EFI/BOOT/BOOTX64.EFI"

// A FAT with fewer clusters than 65,525 is no FAT32, whatever it says of itself; one
// takes 512 bytes and 8 bytes in the tables. The rest is for the tables' rounding.
const leastSize = 34 << 20

// Partition makes the file system that firmware looks into, with one program. The
// file is made in dir, and is the caller's to remove. The same program gives the
// same bytes where SOURCE_DATE_EPOCH is set in the environment, from which go-diskfs
// takes the time.
func Partition(dir string, image []byte) (path string, err error) {
	if os.Getenv("SOURCE_DATE_EPOCH") == "" {
		return "", errors.New("SOURCE_DATE_EPOCH is not set: the file system would differ each time")
	}
	path = filepath.Join(dir, "esp.img")
	size := max(int64(len(image))*65/64+1<<20, leastSize) / 4096 * 4096
	storage, err := file.CreateFromPath(path, size)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, storage.Close()) }()
	fs, err := fat32.Create(storage, size, 0, 512, "METALPOOL", true)
	if err != nil {
		return "", fmt.Errorf("make the FAT file system: %w", err)
	}
	if err := fs.Mkdir("EFI/BOOT"); err != nil {
		return "", fmt.Errorf("make the folder of the boot program: %w", err)
	}
	f, err := fs.OpenFile(program, os.O_CREATE|os.O_RDWR)
	if err != nil {
		return "", fmt.Errorf("make the boot program: %w", err)
	}
	if _, err := f.Write(image); err != nil {
		return "", fmt.Errorf("write the boot program: %w", err)
	}
	return path, f.Close()
}
