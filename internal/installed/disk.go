package installed

import (
	"crypto/ed25519"
	"encoding/pem"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/agent/gpt"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/seed"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// What the seed says.
const (
	User     = "debian"
	Hostname = "web-1"
	mac      = "52:54:00:12:34:56"
)

// diskSize is larger than the image, so that the root file system can grow.
const diskSize = 4 << 30

// newDisk copies the image to path and puts a seed behind it, with new keys.
func newDisk(t testing.TB, image, path string) (user ssh.Signer, host ssh.PublicKey) {
	t.Helper()
	// The copy has the image's holes, which spares the time of most of its bytes.
	if out, err := exec.CommandContext(t.Context(), "cp", "--sparse=always", image, path).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	userKey, _ := newKey(t)
	hostKey, hostText := newKey(t)
	files, err := seed.Render(core.Seed{
		InstanceID: "attempt-1", Hostname: Hostname, User: User, MACs: []string{mac},
		Keys: []string{string(ssh.MarshalAuthorizedKey(userKey.PublicKey()))}, HostKeys: []string{hostText},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := addSeed(path, files); err != nil {
		t.Fatal(err)
	}
	return userKey, hostKey.PublicKey()
}

// addSeed makes the partition as the agent does: 16 MiB at the end of the disk.
func addSeed(path string, files []byte) error {
	const sector, alignment = 512, 1 << 20
	if err := os.Chmod(path, 0o600); err != nil { // images are read only
		return err
	}
	if err := os.Truncate(path, diskSize); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	table, err := gpt.Read(f, sector)
	if err != nil {
		return err
	}
	if err := table.Resize(diskSize); err != nil {
		return err
	}
	_, last := table.Usable()
	end := (last + 1) / (alignment / sector) * (alignment / sector)
	place := gpt.Partition{Type: gpt.BasicData, ID: gpt.NewGUID(), First: end - wire.SeedSize/sector, Last: end - 1, Name: "cidata"}
	if err := table.Add(place); err != nil {
		return err
	}
	if _, err := f.WriteAt(files, place.First*sector); err != nil {
		return err
	}
	return table.Write(f)
}

func newKey(t testing.TB) (key ssh.Signer, private string) {
	t.Helper()
	_, secret, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(secret, "")
	if err != nil {
		t.Fatal(err)
	}
	key, err = ssh.NewSignerFromSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(block))
}
