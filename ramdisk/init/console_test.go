package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// lines keeps each write, as the kernel makes a line of each.
type lines []string

func (l *lines) Write(p []byte) (int, error) {
	*l = append(*l, string(p))
	return len(p), nil
}

func TestConsole(t *testing.T) {
	var got lines
	log := slog.New(newConsole(&got)).With("node", "n1", "boot", "b1")
	log.Info("checked in", "url", "https://10.0.2.2:1")
	log.Warn("no network yet")
	log.With("command", "c1").WithGroup("disk").Error("erase", "serial", "S 1")
	log.Debug("of no interest")
	log.Info(strings.Repeat("long ", 1000))
	want := lines{
		"<5>metalpool: checked in url=https://10.0.2.2:1\n",
		"<5>metalpool: WARN: no network yet\n",
		"<5>metalpool: ERROR: erase command=c1 disk.serial=\"S 1\"\n",
	}
	if len(got) != 4 || strings.Join(got[:3], "") != strings.Join(want, "") {
		t.Fatalf("%q, want %q", got, want)
	}
	if len(got[3]) > longest+1 || !strings.HasSuffix(got[3], "...\n") {
		t.Errorf("a long line became %d bytes that end with %q", len(got[3]), got[3][len(got[3])-10:])
	}
	// Each record is one write: a line that was cut in two would be two lines.
	for _, line := range got {
		if strings.Count(line, "\n") != 1 {
			t.Errorf("%q is not one line", line)
		}
	}
}

func TestKernelLine(t *testing.T) {
	for record, want := range map[string]string{
		"6,339,5140900,-;NET: Registered PF_INET6\n":                   "[    5.140900] NET: Registered PF_INET6\n",
		"13,1200,12544291,-;metalpool: looking\n":                      "[   12.544291] metalpool: looking\n",
		"3,7,42,c;sd 0:0:0:0: error\n SUBSYSTEM=scsi\n DEVICE=+scsi\n": "[    0.000042] sd 0:0:0:0: error\n",
		"4,8,1000000,-,caller=T1;a;b\n":                                "[    1.000000] a;b\n",
		"7,9,1,-;for kernel developers\n":                              "",
		"15,9,1,-;of a daemon, as little\n":                            "",
		"":                                                             "",
		"no record":                                                    "",
		"x,1,2,-;no level\n":                                           "",
		"6,1,x,-;no time\n":                                            "",
		"6,1;too few of fields\n":                                      "",
	} {
		got, ok := kernelLine(record)
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q, %t; want %q", record, got, ok, want)
		}
	}
}

// Text of several lines, as a stack is, becomes one line that can be read.
func TestConsoleKeepsALineALine(t *testing.T) {
	var out bytes.Buffer
	slog.New(newConsole(&out)).Error("init failed:\nboom", "err", "a\nb")
	if got, want := out.String(), "<5>metalpool: ERROR: init failed: boom err=\"a\\nb\"\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
