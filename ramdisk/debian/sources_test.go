package debian

import (
	"strings"
	"testing"
)

const stanzas = `# the archive
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main contrib

Types: deb
URIs: https://other.example/node
Suites: bookworm
Components: main

Types: deb
URIs: http://mirror.example/debian
Suites: bookworm-backports
Components: main
Enabled: no

Types: deb-src
URIs: http://mirror.example/debian
Suites: bookworm
Components: main
`

const lines = `# deb http://mirror.example/debian bookworm main
deb http://mirror.example/debian bookworm main # all of it
deb [arch=amd64 signed-by=/etc/key.gpg] http://mirror.example/debian bookworm-updates main contrib
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/debian trixie main
deb http://vendor.example/debian bookworm vendor
deb incomplete
`

func TestFirmwareComesFromTheMachinesOwnMirror(t *testing.T) {
	got, err := withFirmware(append(parseStanzas(stanzas), parseLines(lines)...), "bookworm")
	want := `Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main non-free-firmware

Types: deb
URIs: http://mirror.example/debian
Suites: bookworm
Components: main non-free-firmware

Types: deb
URIs: http://mirror.example/debian
Suites: bookworm-updates
Components: main non-free-firmware
Signed-By: /etc/key.gpg

`
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	if _, err := withFirmware(parseStanzas(stanzas), "trixie"); err == nil || !strings.Contains(err.Error(), "no sources of Debian trixie") {
		t.Errorf("on another release: %v", err)
	}
}
