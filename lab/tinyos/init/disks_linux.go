package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/metalpool/metalpool/core/deploy/seed"
	"github.com/metalpool/metalpool/lab/tinyos"
)

// systemDisk is the disk that the seed is on, and so the OS.
type systemDisk struct {
	name string // in /sys/block
	seed seed.Files
	// used is where the OS ends and nothing but the seed's partition follows, in bytes.
	used int64
}

// pollEvery is how often it is looked for devices whose drivers take their time.
const pollEvery = 100 * time.Millisecond

// awaitSeed waits for the partition with the seed: disks may take a while to show up.
func awaitSeed(log *slog.Logger) (systemDisk, error) {
	told := false
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		d, err := findSeed()
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return d, err
		}
		if !told {
			log.Info("looking for the seed")
			told = true
		}
		<-poll.C
	}
}

// findSeed fails with os.ErrNotExist where there is none yet.
func findSeed() (systemDisk, error) {
	partitions, err := filepath.Glob("/sys/block/*/*/partition")
	if err != nil {
		return systemDisk{}, err
	}
	for _, p := range partitions {
		dir := filepath.Dir(p)
		files, err := readSeed(filepath.Join("/dev", filepath.Base(dir)))
		if err != nil {
			continue // of the OS itself, or of another disk
		}
		d := systemDisk{name: filepath.Base(filepath.Dir(dir)), seed: files}
		d.used, err = otherPartitionsEnd(dir)
		return d, err
	}
	return systemDisk{}, fmt.Errorf("no partition has a seed: %w", os.ErrNotExist)
}

func readSeed(device string) (seed.Files, error) {
	f, err := os.Open(device)
	if err != nil {
		return seed.Files{}, err
	}
	defer func() { _ = f.Close() }()
	return seed.Read(f)
}

// otherPartitionsEnd is the end, in bytes, of the partitions beside that one.
func otherPartitionsEnd(seedDir string) (end int64, err error) {
	partitions, err := filepath.Glob(filepath.Join(filepath.Dir(seedDir), "*", "partition"))
	for _, p := range partitions {
		dir := filepath.Dir(p)
		if dir == seedDir {
			continue
		}
		start, err1 := number(dir, "start")
		size, err2 := number(dir, "size")
		if err := errors.Join(err1, err2); err != nil {
			return 0, err
		}
		end = max(end, (start+size)*sysSector)
	}
	return end, err
}

// sysSector is the unit of sizes in /sys, whatever the disk's own sectors.
const sysSector = 512

func number(dir, name string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// leaveMarks writes the mark that the user data asks for to all disks.
func leaveMarks(system systemDisk, log *slog.Logger) error {
	mark := ""
	for line := range strings.Lines(string(system.seed.User)) {
		if rest, ok := strings.CutPrefix(line, tinyos.Mark); ok {
			mark = strings.TrimSpace(rest)
		}
	}
	if mark == "" {
		return nil
	}
	disks, err := filepath.Glob("/sys/block/*/device")
	if err != nil {
		return err
	}
	for _, d := range disks {
		name := filepath.Base(filepath.Dir(d))
		if removable, err := number(filepath.Dir(d), "removable"); err != nil || removable == 1 {
			continue
		}
		keep := int64(0)
		if name == system.name {
			keep = system.used
		}
		if err := markDisk(filepath.Join("/dev", name), mark, keep); err != nil {
			return fmt.Errorf("leave a mark: %w", err)
		}
		log.Info("tiny OS left its mark", "disk", name)
	}
	return nil
}

func markDisk(path, mark string, keep int64) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	for _, at := range tinyos.MarkPlaces(size, keep) {
		if _, err := f.WriteAt([]byte(mark), at); err != nil {
			return err
		}
	}
	return f.Sync()
}
