package image

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/metalpool/metalpool/core"
)

// FuzzContent reads the disk in a file as packing does, without its goroutines and
// folders: many more tries than FuzzExamine has.
func FuzzContent(f *testing.F) {
	for _, m := range magics {
		f.Add([]byte(m.magic))
	}
	header := make([]byte, 2048)
	copy(header, "QFI\xfb\x00\x00\x00\x03")
	header[23], header[29], header[39], header[46] = 9, 4, 1, 2 // 512-byte clusters, 256 KiB, one table at 512
	header[103] = 104
	f.Add(header)
	dir := f.TempDir()
	buffer := make([]byte, chunkSize)
	f.Fuzz(func(t *testing.T, data []byte) {
		name := filepath.Join(dir, "file")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		if err := readDisk(t, file, len(data), dir, buffer); err != nil && !errors.As(err, new(*fault)) {
			t.Errorf("bad input is %v", err)
		}
	})
}

func readDisk(t *testing.T, file *os.File, size int, dir string, buffer []byte) error {
	c, _, err := openContent(t.Context(), file, core.Bytes(size), dir)
	if err != nil {
		return err
	}
	defer closeContent(c)
	for off := int64(0); off < 16*chunkSize; {
		n, err := c.next(buffer, off)
		if err != nil || n == 0 {
			return err
		}
		zero, err := c.load(buffer[:n], off)
		if err != nil {
			return err
		}
		if off == 0 && !zero {
			if _, err := readTable(buffer[:n]); err != nil && !errors.As(err, new(*fault)) {
				t.Errorf("a bad table is %v", err)
			}
		}
		off += int64(n)
	}
	return nil
}
