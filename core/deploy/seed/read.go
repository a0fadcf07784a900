package seed

import (
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/metalpool/metalpool/core/deploy/iso9660"
)

// Files are a seed's, as they are.
type Files struct {
	Meta    []byte
	User    []byte
	Vendor  []byte
	Network []byte
}

// maxFile bounds what Read takes; the largest that Render makes is user data.
const maxFile = 4 << 20

// Read finds a seed's files in its file system. Without a file system of its label,
// or without meta-data, there is no seed, which is an error; files that are
// not there are empty.
func Read(r io.ReaderAt) (Files, error) {
	list, err := iso9660.List(r)
	if err != nil {
		return Files{}, fmt.Errorf("read seed: %w", err)
	}
	if list.Label != Label {
		return Files{}, fmt.Errorf("read seed: the file system is called %q, not %q", list.Label, Label)
	}
	if _, ok := list.Find(metaFile); !ok {
		return Files{}, fmt.Errorf("read seed: there is no %s", metaFile)
	}
	var f Files
	for name, data := range map[string]*[]byte{metaFile: &f.Meta, userFile: &f.User, vendorFile: &f.Vendor, networkFile: &f.Network} {
		if e, ok := list.Find(name); ok {
			if *data, err = iso9660.ReadFile(r, e, maxFile); err != nil {
				return Files{}, fmt.Errorf("read seed: %w", err)
			}
		}
	}
	return f, nil
}

// ParseMeta reads meta-data.
func (f Files) ParseMeta() (Meta, error) {
	var m Meta
	if err := yaml.Unmarshal(f.Meta, &m); err != nil {
		return Meta{}, fmt.Errorf("read the seed's %s: %w", metaFile, err)
	}
	return m, nil
}

// ParseVendor reads vendor-data that Render wrote. Since it has private keys, an
// error shows nothing of it.
func (f Files) ParseVendor() (Vendor, error) {
	var v Vendor
	if err := yaml.Unmarshal(f.Vendor, &v); err != nil {
		return Vendor{}, fmt.Errorf("read the seed's %s: it is no cloud-config as metalpool writes it", vendorFile)
	}
	return v, nil
}
