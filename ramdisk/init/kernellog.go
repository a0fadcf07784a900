package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// followKernel copies the kernel's log, from its beginning, of which our own lines
// are a part. It returns where the log cannot be read any more.
func followKernel(to io.Writer) error {
	f, err := os.Open("/dev/kmsg")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	record := make([]byte, 8<<10)
	for {
		n, err := f.Read(record) // one record each time
		switch {
		case errors.Is(err, syscall.EPIPE): // we were slow, and the oldest are gone
			continue
		case err != nil:
			return err
		}
		if line, ok := kernelLine(string(record[:n])); ok {
			if _, err := io.WriteString(to, line); err != nil {
				return err
			}
		}
	}
}

// kernelLine makes a line of a record of /dev/kmsg: "level,number,microseconds,…;text"
// and then lines of what a program may want to know. What the kernel says for those
// who work on it is left out.
func kernelLine(record string) (string, bool) {
	head, rest, ok := strings.Cut(record, ";")
	fields := strings.Split(head, ",")
	if !ok || len(fields) < 3 {
		return "", false
	}
	priority, err := strconv.Atoi(fields[0])
	microseconds, timeErr := strconv.ParseInt(fields[2], 10, 64)
	const level, debug = 7, 7 // the rest of a priority says who speaks
	if err != nil || timeErr != nil || priority&level == debug {
		return "", false
	}
	text, _, _ := strings.Cut(rest, "\n")
	return fmt.Sprintf("[%5d.%06d] %s\n", microseconds/1e6, microseconds%1e6, text), true
}
