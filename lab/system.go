package lab

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"

	"github.com/metalpool/metalpool/agent"
	"github.com/metalpool/metalpool/agent/filedisk"
	"github.com/metalpool/metalpool/agent/gpt"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/seed"
	"github.com/metalpool/metalpool/lab/guest"
)

var (
	errNoSystem = errors.New("there is no system on the disk")
	errNoSeed   = errors.New("there is no seed on the disk")
)

// findSystem returns the partition table of a disk with a system: one that has a
// partition besides the seed's.
func findSystem(d interface {
	io.ReaderAt
	SectorSize() int
}) (*gpt.Table, error) {
	table, err := gpt.Read(d, d.SectorSize())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoSystem, err)
	}
	for _, p := range table.Partitions() {
		if p.Name != agent.SeedPartition {
			return table, nil
		}
	}
	return nil, errNoSystem
}

// findSeed returns the seed's files and where the system's journal is, in bytes: in
// the gap before the seed's partition.
func findSeed(d *filedisk.Disk, table *gpt.Table) (seed.Files, int64, error) {
	sector := int64(d.SectorSize())
	var place *gpt.Partition
	free := int64(0) // end of what lies before it
	for _, p := range table.Partitions() {
		if p.Name == agent.SeedPartition {
			place = &p
			break
		}
		free = max(free, (p.Last+1)*sector)
	}
	if place == nil {
		return seed.Files{}, 0, errNoSeed
	}
	first := place.First * sector
	files, err := seed.Read(io.NewSectionReader(d, first, (place.Last-place.First+1)*sector))
	if err != nil {
		return seed.Files{}, 0, err
	}
	if first-journalSize < free {
		return seed.Files{}, 0, fmt.Errorf("the disk has no %d bytes between the system and its seed, where the lab keeps the system's files", journalSize)
	}
	return files, first - journalSize, nil
}

// bootDisk starts the system on the first disk that has one.
func (s *simulated) bootDisk(ctx context.Context) outcome {
	if s.faults.hit(DiskHang) {
		s.say("hangs while it boots from the disk (a fault)")
		return stays
	}
	for _, disk := range s.disks() {
		d, err := openDisk(disk, filedisk.Faults{})
		if err != nil {
			s.say("a disk cannot be read: " + err.Error())
			return stays
		}
		table, err := findSystem(d)
		if err != nil {
			_ = d.Close() // nothing was written
			continue
		}
		files, journalAt, err := findSeed(d, table)
		_ = d.Close()
		if err != nil {
			s.say("the system on the disk is nobody's: " + err.Error())
			return stays
		}
		return s.startSystem(ctx, disk, files, journalAt)
	}
	s.say("no bootable device")
	return stays
}

func (s *simulated) startSystem(ctx context.Context, disk core.Disk, files seed.Files, journalAt int64) outcome {
	s.say("system starts")
	if !wait(ctx, s.power.times.OS) {
		return stays
	}
	g, err := s.bootGuest(disk, files, journalAt)
	if err != nil {
		s.say("the system stopped: " + err.Error())
		return stays
	}
	s.mu.Lock()
	s.guest = g
	s.mu.Unlock()
	s.say("system runs")
	return stays
}

func (s *simulated) bootGuest(disk core.Disk, files seed.Files, journalAt int64) (*guest.Guest, error) {
	meta, err := files.ParseMeta()
	if err != nil {
		return nil, err
	}
	j, err := openJournal(func() (*filedisk.Disk, error) {
		return openDisk(disk, filedisk.Faults{Write: func(int64, int) error {
			if s.faults.hit(WriteError) {
				return errMedium
			}
			return nil
		}})
	}, journalAt, meta.InstanceID)
	if err != nil {
		return nil, err
	}
	c := guest.Config{
		Seed: files, Journal: j, Address: s.card.Address, SSHPort: s.card.SSHPort, CPUs: s.shape.cpus(), Memory: int64(s.shape.memory()),
		MAC: s.card.Parts.MACs[0], Now: s.now,
		Power: s.power.ask,
	}
	if s.faults.hit(HostKey) {
		if c.HostKey, err = strangeKey(); err != nil {
			return nil, err
		}
	}
	return guest.Boot(c)
}

// strangeKey is a host key that nobody expects.
func strangeKey() (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(private)
}
