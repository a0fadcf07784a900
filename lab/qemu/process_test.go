package qemu

import (
	"io"
	"testing"
)

// answering is a program that greets as QEMU does, and repeats what its serial port is
// told.
const answering = `echo '{"QMP": {}}' >&3; read -r command <&3; echo '{"return": {}}' >&3; exec cat <&4 >&4`

func TestTypeReachesTheSerialPort(t *testing.T) {
	seen, console := io.Pipe()
	p, err := launch(t.Context(), "sh", []string{"-c", answering}, launchFiles{console: console})
	if err != nil {
		t.Fatal(err)
	}
	defer p.end()
	m := &Machine{process: p}
	for _, typed := range []string{"root\r", "\x03"} {
		m.Type([]byte(typed))
		got := make([]byte, len(typed))
		if _, err := io.ReadFull(seen, got); err != nil || string(got) != typed {
			t.Errorf("typed %q, and the port was told %q, %v", typed, got, err)
		}
	}
}

// TestTypeDoesNotWait: what nobody reads is lost, as on a serial line, also once the
// machine has ended.
func TestTypeDoesNotWait(t *testing.T) {
	p, err := launch(t.Context(), "sh", []string{"-c", `echo '{"QMP": {}}' >&3; read -r command <&3; echo '{"return": {}}' >&3; read -r forever <&3`}, launchFiles{})
	if err != nil {
		t.Fatal(err)
	}
	m := &Machine{process: p}
	m.Type(make([]byte, 4<<20)) // more than a socket holds
	p.end()
	m.Type([]byte("too late"))
}

// TestWritesThatFailedAreKnownAfterTheEnd: whoever takes the power away may be the first
// to whom it matters.
func TestWritesThatFailedAreKnownAfterTheEnd(t *testing.T) {
	const counting = `echo '{"QMP": {}}' >&3; read -r command <&3; echo '{"return": {}}' >&3
read -r command <&3; echo '{"return": [{"stats": {"failed_wr_operations": 2}}, {"stats": {"failed_wr_operations": 1}}]}' >&3
read -r forever <&3`
	p, err := launch(t.Context(), "sh", []string{"-c", counting}, launchFiles{})
	if err != nil {
		t.Fatal(err)
	}
	m := &Machine{process: p, ended: make(chan End, 1)}
	m.faults.Store(true)
	m.Kill()
	for range 2 {
		if n, err := m.FailedWrites(); n != 3 || err != nil {
			t.Errorf("%d writes have failed, %v; want 3", n, err)
		}
	}
}
