package main

import (
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// The kernel's input events: a time of two words, a type, a code, a value.
const (
	eventSize = 24
	eventKey  = 1
	keyPower  = 116
	pressed   = 1
)

// obeyPowerButton turns the machine off when somebody presses it.
func obeyPowerButton(log *slog.Logger) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		devices, err := filepath.Glob("/dev/input/event*")
		if err != nil || len(devices) == 0 {
			<-poll.C
			continue
		}
		for _, d := range devices {
			go func() {
				if err := awaitPress(d); err != nil {
					log.Warn("an input device is not watched", "device", d, "err", err)
					return
				}
				leave(false, log)
			}()
		}
		return
	}
}

func awaitPress(device string) error {
	f, err := os.Open(device)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	event := make([]byte, eventSize)
	for {
		if _, err := f.Read(event); err != nil {
			return err
		}
		le := binary.LittleEndian
		if le.Uint16(event[16:]) == eventKey && le.Uint16(event[18:]) == keyPower && le.Uint32(event[20:]) == pressed {
			return nil
		}
	}
}
