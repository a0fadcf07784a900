package qemu

import (
	"os"
	"path/filepath"
	"testing"
)

// A machine under KVM is believed when its firmware has spoken: QEMU says that one is
// running whose processor has stopped, or has never run.
func TestKVMIsBelievedWhenTheFirmwareSpeaks(t *testing.T) {
	const greets = "#!/bin/sh\necho '{\"QMP\": {}}' >&3; read -r command <&3; echo '{\"return\": {}}' >&3\n"
	for name, tt := range map[string]struct {
		does string
		want bool
	}{
		"it speaks":         {`echo BdsDxe >&4; read -r forever <&3`, true},
		"KVM stops":         {`echo '{"event": "STOP"}' >&3; echo '{"event": "STOP"}' >&3; read -r forever <&3`, false},
		"QEMU ends":         {`exit 1`, false},
		"QEMU is not there": {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			p := Programs{QEMU: filepath.Join(t.TempDir(), "qemu-system-x86_64"), Code: "code.fd"}
			if tt.does != "" {
				if err := os.WriteFile(p.QEMU, []byte(greets+tt.does+"\n"), 0o700); err != nil { //nolint:gosec // it is run
					t.Fatal(err)
				}
			}
			if got := speaks(t.Context(), p, KVM); got != tt.want {
				t.Errorf("it is believed: %t", got)
			}
		})
	}
}
