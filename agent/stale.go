package agent

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/metalpool/metalpool/agent/gpt"
	"github.com/metalpool/metalpool/core"
	"github.com/metalpool/metalpool/core/deploy/wire"
)

// removeStale takes away the seeds of earlier deploys: cloud-init believes any file
// system with the label that it comes across first. The seed at off of disk stays.
// Removable disks are left alone; nobody deploys to them.
func (a *agent) removeStale(ctx context.Context, disk Disk, off int64) error {
	disks, err := a.host.Disks(ctx)
	if err != nil {
		return &core.Error{Op: "seed", Kind: core.Backend, Err: fmt.Errorf("the disks cannot be listed: %w", err)}
	}
	for _, d := range disks {
		if d.Info().Removable {
			continue
		}
		keep := int64(keepNone)
		if d == disk {
			keep = off
		}
		if err := removeSeeds(ctx, d, keep); err != nil {
			return &core.Error{
				Op: "seed", Kind: core.Backend, Err: fmt.Errorf("an older seed on disk %s cannot be removed: %w", nameOf(d), err),
				Hint: "the disk may be broken; replace it",
			}
		}
	}
	return nil
}

// keepNone is where no seed can be.
const keepNone = -1

// removeSeeds zeros each file system with the seed's label, and drops its partition,
// but for the one at keep.
func removeSeeds(ctx context.Context, d Disk, keep int64) error {
	if whole := (span{0, int64(d.Info().Size)}); keep == keepNone && labelled(io.NewSectionReader(d, 0, whole.n)) {
		return wipe(ctx, d, whole) // one file system, without partitions
	}
	table, err := gpt.Read(d, d.SectorSize())
	if err != nil {
		// None, or one that no kernel would use either.
		return removeFrom(ctx, d, mbrPartitions(d))
	}
	var stale []span
	for _, p := range table.Partitions() {
		e := span{p.First * int64(d.SectorSize()), (p.Last - p.First + 1) * int64(d.SectorSize())}
		if e.off == keep || p.Name != SeedPartition && !labelled(io.NewSectionReader(d, e.off, e.n)) {
			continue
		}
		stale = append(stale, e)
		table.Remove(p.Index)
	}
	if len(stale) == 0 {
		return nil
	}
	for _, e := range stale {
		if err := wipe(ctx, d, e); err != nil {
			return err
		}
	}
	return table.Write(d)
}

func removeFrom(ctx context.Context, d Disk, partitions []span) error {
	for _, e := range partitions {
		if labelled(io.NewSectionReader(d, e.off, e.n)) {
			if err := wipe(ctx, d, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// wipe zeros a seed, which held private keys. What is larger than any seed of ours
// loses what makes it a file system.
func wipe(ctx context.Context, d Disk, e span) error {
	size := int64(d.Info().Size)
	if e.off >= size {
		return nil // a table may claim anything
	}
	if err := d.Zero(ctx, e.off, min(e.n, wire.SeedSize, size-e.off)); err != nil {
		return err
	}
	return d.Sync()
}

// mbrPartitions are the primary ones of an old partition table.
func mbrPartitions(d Disk) []span {
	first := make([]byte, 512)
	if _, err := d.ReadAt(first, 0); err != nil && !errors.Is(err, io.EOF) || first[510] != 0x55 || first[511] != 0xaa {
		return nil
	}
	var found []span
	for e := first[446:510]; len(e) > 0; e = e[16:] {
		start, length := binary.LittleEndian.Uint32(e[8:]), binary.LittleEndian.Uint32(e[12:])
		if e[4] != 0 && start > 0 && length > 0 {
			found = append(found, span{int64(start) * int64(d.SectorSize()), int64(length) * int64(d.SectorSize())})
		}
	}
	return found
}

// labelled reports whether a file system of the kinds in which cloud-init looks for
// a seed, ISO 9660 and FAT, bears its label. What cannot be read bears none.
func labelled(r io.ReaderAt) bool {
	isSeed := func(label []byte) bool {
		return strings.EqualFold(string(bytes.TrimRight(label, " \x00")), SeedPartition)
	}
	descriptor := make([]byte, 72)
	if _, err := r.ReadAt(descriptor, 32768); err == nil && string(descriptor[1:6]) == "CD001" && isSeed(descriptor[40:72]) {
		return true
	}
	boot := make([]byte, 512)
	if _, err := r.ReadAt(boot, 0); err != nil || boot[510] != 0x55 || boot[511] != 0xaa {
		return false
	}
	const fat16, fat32, extended = 0x26, 0x42, 0x29
	if boot[fat16] == extended && isSeed(boot[fat16+5:fat16+16]) || boot[fat32] == extended && isSeed(boot[fat32+5:fat32+16]) {
		return true
	}
	return isSeed(fatVolumeName(r, boot))
}

// fatVolumeName is the label that a FAT's root directory gives, which may differ
// from that of its boot sector.
func fatVolumeName(r io.ReaderAt, boot []byte) []byte {
	short := func(at int) int64 { return int64(binary.LittleEndian.Uint16(boot[at:])) }
	sector, cluster, reserved, tables := short(11), int64(boot[13]), short(14), int64(boot[16])
	if sector == 0 || cluster == 0 || reserved == 0 || tables == 0 {
		return nil
	}
	var root, length int64
	if perTable := short(22); perTable != 0 {
		root, length = (reserved+tables*perTable)*sector, short(17)*32
	} else {
		perTable, first := int64(binary.LittleEndian.Uint32(boot[36:])), int64(binary.LittleEndian.Uint32(boot[44:]))
		root, length = (reserved+tables*perTable+(first-2)*cluster)*sector, cluster*sector
	}
	if root < 0 {
		return nil
	}
	entries := make([]byte, min(length, 64<<10))
	n, _ := r.ReadAt(entries, root)
	const attributes, volume, mask = 11, 0x08, 0x18
	for e := entries[:n/32*32]; len(e) > 0 && e[0] != 0; e = e[32:] {
		if e[0] != 0xe5 && e[attributes]&mask == volume && e[attributes] != 0x0f {
			return e[:11]
		}
	}
	return nil
}
